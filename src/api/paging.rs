//! Long lists, one page at a time.
//!
//! The body is a list. A `Link` header with `rel="next"` (RFC 8288) holds the URL of the next page,
//! with a cursor: the last item of the page, and its position in case that the item disappears.

use std::hash::{DefaultHasher, Hash, Hasher};

use axum::{
    Json,
    http::{HeaderMap, HeaderValue, Uri, header::LINK},
};

use super::{error::ApiError, types};

/// Items of a page by default.
const DEFAULT_LIMIT: u64 = 1000;

/// Items of a page, at most.
pub(super) const MAX_LIMIT: u64 = 10_000;

/// A page of a list, and the headers that name the next one.
pub(super) type ListPage<T> = (HeaderMap, Json<Vec<T>>);

/// The page that a query asks for.
#[derive(Clone, Copy, Debug)]
pub(super) struct PageQuery<'a> {
    pub(super) limit: Option<u64>,
    pub(super) after: Option<&'a str>,
}

/// Implements `page_query` for queries with `limit` and `after`.
macro_rules! page_queries {
    ($($query:ident),*) => {$(
        impl types::$query {
            /// The requested page.
            pub(super) fn page_query(&self) -> PageQuery<'_> {
                PageQuery {
                    limit: self.limit,
                    after: self.after.as_deref(),
                }
            }
        }
    )*};
}

page_queries!(CatalogueQuery, LinksQuery, ListQuery, LogQuery);

/// The requested page of `items`. `key` identifies an item. `uri` is that of the request.
pub(super) fn page<T, K: Hash>(
    mut items: Vec<T>,
    wanted: PageQuery<'_>,
    uri: &Uri,
    key: impl Fn(&T) -> K,
) -> Result<ListPage<T>, ApiError> {
    let limit = wanted.limit.unwrap_or(DEFAULT_LIMIT);
    if !(1..=MAX_LIMIT).contains(&limit) {
        let message = format!("the limit {limit} is invalid: a page has 1 to {MAX_LIMIT} items");
        return Err(ApiError::bad("bad-request", message));
    }
    // At most MAX_LIMIT.
    let limit = limit as usize;
    let name = |item: &T| {
        let mut hasher = DefaultHasher::new();
        key(item).hash(&mut hasher);
        hasher.finish()
    };
    if let Some(after) = wanted.after {
        let wrong = || {
            ApiError::bad(
                "bad-request",
                format!("{after:?} is not a valid cursor: use the one in the Link header"),
            )
        };
        let (place, last) = after.split_once('-').ok_or_else(wrong)?;
        let place: usize = place.parse().map_err(|_| wrong())?;
        let last = u64::from_str_radix(last, 16).map_err(|_| wrong())?;
        // The item is at its position unless the list has changed. The position also distinguishes
        // equal items.
        let is_last = |item: &T| name(item) == last;
        let is_there = place
            .checked_sub(1)
            .and_then(|at| items.get(at))
            .is_some_and(is_last);
        let found = if is_there {
            None
        } else {
            items.iter().position(is_last)
        };
        let from = found.map_or(place, |found| found + 1).min(items.len());
        items.drain(..from);
        return Ok(cut(items, limit, from, uri, name));
    }
    Ok(cut(items, limit, 0, uri, name))
}

fn cut<T>(
    mut items: Vec<T>,
    limit: usize,
    before: usize,
    uri: &Uri,
    name: impl Fn(&T) -> u64,
) -> ListPage<T> {
    let is_more = items.len() > limit;
    items.truncate(limit);
    let mut headers = HeaderMap::new();
    if let Some(last) = items.last().filter(|_| is_more) {
        let cursor = format!("{}-{:x}", before + items.len(), name(last));
        headers.extend(next(uri, cursor).map(|next| (LINK, next)));
    }
    (headers, Json(items))
}

/// The URL of the same request for the items after `cursor`.
fn next(uri: &Uri, cursor: String) -> Option<HeaderValue> {
    let query = uri.query().unwrap_or_default();
    let mut query: Vec<(String, String)> = serde_urlencoded::from_str(query).ok()?;
    query.retain(|(name, _)| name != "after");
    query.push(("after".to_owned(), cursor));
    // The first page has waited already.
    let waited = query.iter_mut().find(|(name, _)| name == "wait");
    if let Some((_, wait)) = waited {
        "0".clone_into(wait);
    }
    let query = serde_urlencoded::to_string(query).ok()?;
    let link = format!("<{}?{query}>; rel=\"next\"", uri.path());
    HeaderValue::from_str(&link).ok()
}

/// The path of the next page; `None` on the last page.
pub(super) fn next_path(headers: &HeaderMap) -> Option<String> {
    let link = headers.get(LINK)?.to_str().ok()?;
    let (target, rest) = link.strip_prefix('<')?.split_once('>')?;
    rest.contains("rel=\"next\"").then(|| target.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pages(mut change: impl FnMut(&mut Vec<u32>), limit: u64) -> Vec<Vec<u32>> {
        let mut items: Vec<u32> = (0..5).collect();
        let mut uri: Uri = format!("/v1/x?what=a%20b&limit={limit}").parse().unwrap();
        let mut pages = Vec::new();
        loop {
            let query: Vec<(String, String)> =
                serde_urlencoded::from_str(uri.query().unwrap()).unwrap();
            assert!(query.contains(&("what".to_owned(), "a b".to_owned())));
            let after = query.iter().find(|(name, _)| name == "after");
            let wanted = PageQuery {
                limit: Some(limit),
                after: after.map(|(_, after)| &**after),
            };
            let (headers, Json(page)) = page(items.clone(), wanted, &uri, |item| *item).unwrap();
            pages.push(page);
            match next_path(&headers) {
                Some(next) => uri = next.parse().unwrap(),
                None => return pages,
            }
            change(&mut items);
        }
    }

    #[test]
    fn pages_follow_each_other() {
        assert_eq!(pages(|_| {}, 2), [vec![0, 1], vec![2, 3], vec![4]]);
        assert_eq!(pages(|_| {}, 5), [vec![0, 1, 2, 3, 4]]);
        // Items that are added before the cursor shift nothing.
        let grow = |items: &mut Vec<u32>| items.insert(0, 9);
        assert_eq!(pages(grow, 2), [vec![0, 1], vec![2, 3], vec![4]]);
        // The last item of a page is gone: the next page begins at its position.
        let mut is_first = true;
        let shrink = |items: &mut Vec<u32>| {
            if std::mem::take(&mut is_first) {
                items[1] = 9;
            }
        };
        assert_eq!(pages(shrink, 2), [vec![0, 1], vec![2, 3], vec![4]]);
        // Equal items each occur once.
        let equal = |items: &mut Vec<u32>| items[..2].fill(7);
        assert_eq!(
            pages(equal, 1),
            [vec![0], vec![7], vec![2], vec![3], vec![4]]
        );
    }

    #[test]
    fn limits_and_cursors_are_checked() {
        let uri: Uri = "/v1/x".parse().unwrap();
        let refused = |limit, after| {
            let wanted = PageQuery { limit, after };
            page(vec![1], wanted, &uri, |item| *item).is_err()
        };
        assert!(!refused(Some(MAX_LIMIT), None));
        for (limit, after) in [
            (Some(0), None),
            (Some(MAX_LIMIT + 1), None),
            (None, Some("")),
            (None, Some("x-1")),
            (None, Some("1-x")),
        ] {
            assert!(refused(limit, after), "{limit:?} {after:?}");
        }
    }
}
