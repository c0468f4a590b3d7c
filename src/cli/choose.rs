//! Content that has the same name: shown by number, for a person to choose from.

use tokio::task::spawn_blocking;

use super::{
    list,
    output::Printer,
    prompt,
    table::{Column, Table},
    text::{bytes, count, escape},
};
use crate::api::types::{Choice, Sharer};

/// Digits at the end of a peer id, which distinguish peers without a name.
const ID_DIGITS: usize = 6;

/// What the person at the terminal chose; none if nothing. Asks again after an invalid answer.
///
/// # Errors
///
/// The terminal cannot be read or written.
pub(super) async fn choose(
    output: &Printer,
    choices: Vec<Choice>,
) -> anyhow::Result<Option<Choice>> {
    output.text(numbered(&choices, Printer::width()))?;
    let question = format!("which, 1 to {}, or nothing: ", choices.len());
    loop {
        let question = question.clone();
        let answer = spawn_blocking(move || prompt::ask(&question)).await??;
        let Some(answer) = answer.filter(|answer| !answer.is_empty()) else {
            return Ok(None);
        };
        match chosen(&choices, &answer) {
            Some(chosen) => return Ok(Some(chosen.clone())),
            None => output.note(format_args!(
                "{answer:?} is not one of the {}",
                count(choices.len() as u64, "choice")
            )),
        }
    }
}

/// The choice with this number, or the only one whose hash begins with the answer.
fn chosen<'a>(choices: &'a [Choice], answer: &str) -> Option<&'a Choice> {
    if let Ok(number) = answer.parse::<usize>()
        && (1..=choices.len()).contains(&number)
    {
        return choices.get(number - 1);
    }
    let mut those = choices
        .iter()
        .filter(|choice| choice.listed.hash.starts_with(answer));
    those.next().filter(|_| those.next().is_none())
}

/// A table, without names if they are all the same: size, hash and peers distinguish the choices.
fn numbered(choices: &[Choice], width: Option<usize>) -> String {
    let has_groups = choices.iter().any(|choice| choice.group.is_some());
    let mut names = choices.iter().map(|choice| &choice.listed.name);
    let first = names.next();
    let has_names = choices.len() == 1 || names.any(|name| Some(name) != first);
    let mut columns = vec![Column::number("#"), list::SIZE, list::KIND, list::HASH];
    columns.extend(has_names.then(|| Column::text("NAME").min_width(12)));
    columns.extend(has_groups.then(|| Column::text("IN")));
    columns.push(Column::text("FROM").min_width(24));
    let row = |(number, choice): (usize, &Choice)| {
        let mut row = vec![
            (number + 1).to_string(),
            bytes(choice.listed.size),
            list::kind(&choice.listed).to_owned(),
            choice.listed.hash.clone(),
        ];
        row.extend(has_names.then(|| choice.listed.name.clone()));
        row.extend(has_groups.then(|| place(choice)));
        row.push(from(choice));
        row
    };
    Table::new(columns, choices.iter().enumerate().map(row)).text(width)
}

/// The group in which it is shared, by name if the node knows it.
fn place(choice: &Choice) -> String {
    match (&choice.group, &choice.group_name) {
        (None, _) => "outside groups".to_owned(),
        (Some(_), Some(name)) => escape(name),
        (Some(group), None) => group.get(..8).unwrap_or(group).to_owned(),
    }
}

/// The peers that share it, by name if they have one.
fn from(choice: &Choice) -> String {
    let mut from: Vec<_> = choice.from.iter().map(sharer).collect();
    let more = choice.listed.peers.saturating_sub(from.len() as u64);
    if more > 0 {
        from.push(format!("{more} more"));
    }
    from.join(", ")
}

fn sharer(sharer: &Sharer) -> String {
    let name = sharer.name.as_deref().map(escape);
    if let Some(name) = name.filter(|name| !name.is_empty()) {
        return name;
    }
    let id = escape(&sharer.peer_id);
    let last = id.char_indices().rev().nth(ID_DIGITS - 1);
    let last = last.map_or(0, |(at, _)| at);
    let first: String = id[..last].chars().take(4).collect();
    format!("{first}…{}", &id[last..])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::types::{Kind, Listed};

    fn choices() -> Vec<Choice> {
        let choice = |hash: &str, size, peers, from: &[Option<&str>]| Choice {
            listed: Listed {
                hash: hash.to_owned(),
                name: "x".to_owned(),
                size,
                kind: Kind::File,
                path: None,
                peers,
                holders: Vec::new(),
                state: None,
                unlisted: false,
                groups: Vec::new(),
                group_only: false,
                offline: false,
                unavailable_files: 0,
            },
            group: None,
            group_name: None,
            from: from
                .iter()
                .map(|name| Sharer {
                    peer_id: "12D3KooWJWoaqZhDaoEFshF7Rh1bpY9ohihFhzcW6d69Lr2NASuq".to_owned(),
                    name: name.map(str::to_owned),
                })
                .collect(),
        };
        vec![
            choice("1ab", 1, 3, &[Some("an\u{202e}na"), None]),
            choice("1cd", 1 << 20, 1, &[Some("bert")]),
        ]
    }

    #[test]
    fn choices_are_numbered_and_say_who_has_them() {
        assert_eq!(
            numbered(&choices(), None),
            "#    SIZE  KIND  HASH  FROM\n\
             1     1 B  file  1ab   an\\u{202e}na, 12D3…2NASuq, 1 more\n\
             2  1.0 MB  file  1cd   bert"
        );
    }

    #[test]
    fn choices_in_groups_say_in_which() {
        let mut choices = choices();
        choices[0].group = Some("07".repeat(32));
        choices[1].group = choices[0].group.clone();
        choices[1].group_name = Some("family".to_owned());
        choices.push(Choice {
            group: None,
            ..choices[1].clone()
        });
        let table = numbered(&choices, None);
        let places = ["07070707", "family", "outside groups"];
        let lines: Vec<_> = table.lines().skip(1).collect();
        for (line, place) in lines.iter().zip(places) {
            assert!(line.contains(place), "{table}");
        }
    }

    #[test]
    fn a_choice_is_a_number_or_the_beginning_of_a_hash() {
        let choices = choices();
        let hash = |answer| chosen(&choices, answer).map(|choice| choice.listed.hash.as_str());
        assert_eq!(hash("1"), Some("1ab"));
        assert_eq!(hash("2"), Some("1cd"));
        assert_eq!(hash("1c"), Some("1cd"));
        for nonsense in ["0", "3", "x", "-1"] {
            assert_eq!(hash(nonsense), None, "{nonsense}");
        }
    }
}
