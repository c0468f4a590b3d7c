//! How users, roles and keys are printed.

use crate::{
    api::types::{GroupDetail, GroupMember, GroupRole},
    cli::{context::Context, text::escape},
};

/// A role, for people.
pub(super) const fn role_word(role: GroupRole) -> &'static str {
    match role {
        GroupRole::Member => "member",
        GroupRole::Owner => "owner",
        GroupRole::Root => "root",
    }
}

/// The name of a user, or the first digits of the key.
pub(super) fn user_name(name: Option<&str>, user: &str) -> String {
    name.map_or_else(|| short(user).to_owned(), escape)
}

/// The name of a member, or the first digits of the key.
pub(super) fn member_name(member: &GroupMember) -> String {
    user_name(member.name.as_deref(), &member.user)
}

/// As many digits of a key or an id as people have to type.
pub(super) fn short(digits: &str) -> &str {
    digits.get(..8).unwrap_or(digits)
}

/// Says that the name of a new group selects it no longer, if another group has one like it.
pub(super) fn note_if_alike(context: &Context, group: &GroupDetail) {
    if group.alike {
        let (name, id) = (escape(&group.group.name), short(&group.group.id));
        context.output.note(format_args!(
            "another of your groups has a name like {name}: select this one by {id}"
        ));
    }
}
