//! All routes. Each handler describes its own route, and the OpenAPI document is generated from
//! these.

use axum::{
    Extension, Router,
    extract::{DefaultBodyLimit, FromRef},
};

use super::{
    App, Users, catalogue, downloads, events,
    extract::MAX_BODY_LEN,
    fallback::{locked, not_allowed, unknown},
    files, gateway, groups, metrics, open, openapi, page, process, qr,
    routes::{Routes, routes},
    settings, shares, sign_in, status, uploads, user, web,
};

/// All routes of `app`, which can be made from a [`Node`](crate::node::Node), as a service to call
/// in-process. It trusts its caller. [`serve`](super::serve) checks the token of every request
/// instead.
pub fn router(app: impl Into<App>) -> Router {
    let routes = sign_in_routes()
        .routes(routes!(events::events))
        .routes(routes!(status::log))
        .routes(routes!(metrics::metrics))
        .routes(routes!(gateway::urls::url))
        .routes(routes!(status::status))
        .routes(routes!(status::peers))
        .routes(routes!(status::health))
        .routes(routes!(settings::list, settings::change))
        .routes(routes!(settings::limits, settings::change_limits))
        .routes(routes!(shares::list, shares::share, shares::unshare))
        .routes(routes!(shares::check))
        .routes(routes!(shares::links))
        .routes(routes!(shares::being_written))
        .routes(routes!(shares::unavailable))
        .routes(routes!(shares::exclusions))
        .routes(routes!(qr::image))
        .routes(routes!(qr::of_text))
        .routes(routes!(files::add))
        .routes(routes!(open::open))
        .routes(routes!(catalogue::catalogue))
        .routes(routes!(groups::list, groups::create))
        .routes(routes!(groups::one, groups::rename, groups::leave))
        .routes(routes!(
            groups::members::list,
            groups::members::add,
            groups::members::remove_by_invite
        ))
        .routes(routes!(groups::members::remove))
        .routes(routes!(groups::owners::add))
        .routes(routes!(groups::owners::outcomes))
        .routes(routes!(groups::owners::remove))
        .routes(routes!(groups::invites::list, groups::invites::invite))
        .routes(routes!(groups::invites::revoke))
        .routes(routes!(groups::requests::list))
        .routes(routes!(groups::requests::accept))
        .routes(routes!(groups::requests::reject))
        .routes(routes!(groups::joins::list, groups::joins::join))
        .routes(routes!(groups::joins::withdraw))
        .routes(routes!(uploads::list))
        .routes(routes!(web::routes::list, web::routes::add))
        .routes(routes!(web::routes::remove))
        .routes(routes!(downloads::list, downloads::download))
        .routes(routes!(downloads::one, downloads::remove))
        .routes(routes!(downloads::detail))
        .routes(routes!(downloads::followers))
        .routes(routes!(downloads::pause))
        .routes(routes!(downloads::resume))
        .routes(routes!(downloads::cancel))
        .routes(routes!(downloads::reorder))
        .routes(routes!(downloads::pause_all))
        .routes(routes!(downloads::resume_all))
        .merge(process_routes())
        .merge(user_routes());
    with_page(routes)
        .fallback(unknown)
        .method_not_allowed_fallback(not_allowed)
        .with_state(app.into())
}

/// The routes while the user is logged out: status, login, restart and stop. All others are refused as locked.
pub fn locked_router(users: Users) -> Router {
    let routes = sign_in_routes()
        .routes(routes!(user::show))
        .routes(routes!(user::login))
        .merge(process_routes());
    with_page(routes)
        .fallback(locked)
        .method_not_allowed_fallback(locked)
        .with_state(users)
}

/// The routes about `users` alone, to call in-process while no node runs.
pub fn user_router(users: Users) -> Router {
    let (router, _) = user_routes().split();
    router.with_state(users)
}

/// The routes of every phase: the description of all, and the sessions of the page.
fn sign_in_routes<S: Clone + Send + Sync + 'static>() -> Routes<S> {
    Routes::new()
        .routes(routes!(openapi::document))
        .routes(routes!(sign_in::code))
        .routes(routes!(sign_in::run))
        .routes(routes!(
            sign_in::session,
            sign_in::sign_in,
            sign_in::sign_out
        ))
}

fn user_routes<S>() -> Routes<S>
where
    S: Clone + Send + Sync + 'static,
    Users: FromRef<S>,
{
    Routes::new()
        .routes(routes!(user::show, user::create, user::rename))
        .routes(routes!(user::change_passphrase))
        .routes(routes!(user::export))
        .routes(routes!(user::import))
        .routes(routes!(user::login))
        .routes(routes!(user::logout))
}

fn process_routes<S>() -> Routes<S>
where
    S: Clone + Send + Sync + 'static,
    Users: FromRef<S>,
{
    Routes::new()
        .routes(routes!(process::stop))
        .routes(routes!(process::restart))
}

/// Adds the files of the page, the description of the routes, and the limit on bodies.
fn with_page<S: Clone + Send + Sync + 'static>(routes: Routes<S>) -> Router<S> {
    let (router, description) = routes.split();
    router
        .merge(page::routes())
        .layer(DefaultBodyLimit::max(MAX_BODY_LEN))
        .layer(Extension(description))
}
