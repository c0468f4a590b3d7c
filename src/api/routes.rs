//! Routes, and their description in OpenAPI, which is made when a client asks for it.
//!
//! Commands that start a node of their own make all routes, and none of them asks.

use std::sync::Arc;

use axum::{
    Router,
    handler::Handler,
    routing::{MethodFilter, MethodRouter},
};
use utoipa::openapi::OpenApi;
use utoipa_axum::{PathItemExt, router::OpenApiRouter};

/// Adds routes to those that are described.
type Describe<S> = fn(OpenApiRouter<S>) -> OpenApiRouter<S>;

/// Routes with their description.
pub(super) struct Routes<S> {
    router: Router<S>,
    described: Vec<Describe<S>>,
}

/// The handlers of one path.
pub(super) struct Route<S> {
    path: String,
    methods: MethodRouter<S>,
    describe: Describe<S>,
}

/// The description of all routes of a router.
#[derive(Clone)]
pub(super) struct Description(Arc<dyn Fn(OpenApi) -> OpenApi + Send + Sync>);

impl<S: Clone + Send + Sync + 'static> Routes<S> {
    pub(super) fn new() -> Self {
        Self {
            router: Router::new(),
            described: Vec::new(),
        }
    }

    pub(super) fn routes(mut self, route: Route<S>) -> Self {
        self.router = self.router.route(&route.path, route.methods);
        self.described.push(route.describe);
        self
    }

    pub(super) fn merge(mut self, others: Self) -> Self {
        self.router = self.router.merge(others.router);
        self.described.extend(others.described);
        self
    }

    pub(super) fn split(self) -> (Router<S>, Description) {
        let described = self.described;
        let describe = move |document| {
            let none = OpenApiRouter::with_openapi(document);
            let all = described
                .iter()
                .fold(none, |before, describe| describe(before));
            all.into_openapi()
        };
        (self.router, Description(Arc::new(describe)))
    }
}

impl<S: Clone + Send + Sync + 'static> Route<S> {
    pub(super) fn new(describe: Describe<S>) -> Self {
        Self {
            path: String::new(),
            methods: MethodRouter::new(),
            describe,
        }
    }

    /// Adds the handler that `P` describes.
    pub(super) fn on<P: utoipa::Path, T: 'static>(
        mut self,
        _: P,
        handler: impl Handler<T, S>,
    ) -> Self {
        self.path = P::path();
        let methods = P::methods();
        let filters = methods.iter().map(PathItemExt::to_method_filter);
        if let Some(filter) = filters.reduce(MethodFilter::or) {
            self.methods = self.methods.on(filter, handler);
        }
        self
    }
}

impl Description {
    /// Adds the routes to `document`.
    pub(super) fn add_to(&self, document: OpenApi) -> OpenApi {
        (self.0)(document)
    }
}

/// The route of handlers that have the same path, each described by `#[utoipa::path]`.
macro_rules! routes {
    ($($($part:ident)::+),+ $(,)?) => {
        $crate::api::routes::Route::new(
            |described| described.routes(utoipa_axum::routes!($($($part)::+),+))
        )
        $(.on($crate::api::routes::description!([] $($part)::+), $($part)::+))+
    };
}

/// The type with the description of a handler, which `#[utoipa::path]` puts beside the handler.
macro_rules! description {
    ([$($module:ident)*] $handler:ident) => {
        pastey::paste!($($module::)*[<__path_ $handler>])
    };
    ([$($module:ident)*] $next:ident :: $($rest:tt)+) => {
        $crate::api::routes::description!([$($module)* $next] $($rest)+)
    };
}

pub(super) use {description, routes};
