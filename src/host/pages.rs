//! `http::pages`: a list that comes page by page. Each page is an effect of its own, and is gone when it was looked at.

use std::collections::BTreeSet;

use rhai::{Dynamic, FnPtr, Map};
use url::Url;

use super::effects::{self, Plan};
use super::fail::Fail;
use super::function::{Call, Choice, Function, Nature, Options, type_of};
use super::http::{self, http_options};
use super::session::hash_text;

/// The functions of this topic.
pub(super) static FUNCTIONS: &[Function] = &[Function {
    name: "http::pages",
    params: &["url: string", "options: map", "page: closure"],
    options: http_options![Choice::new(
        "next",
        "closure",
        "`|res| …`: the address of the next page, a map for its query, or `()` at the end; by default what `Link` headers say"
    )],
    returns: "int",
    nature: Nature::Reading,
    errors: &["http", "network", "timeout", "denied", "not_found"],
    capability: Some("http"),
    doc: "Gets a list page by page, and calls a closure with each response. It ends where there is no next page, or where the closure \
          returns `false`. Returns how many pages there were. Each is recorded like a call of `http::get`; a page that comes twice is an error. A test's mock answers page by page.",
    example: "http::pages(\"https://example.com/orders\", #{ rate: \"5/s\" }, |page| page.body.len())",
    call: pages,
}];

/// Where the next page is.
struct Place {
    url: String,
    /// In place of what the option `query` has under these names.
    query: Vec<(String, String)>,
}

fn pages(call: &mut Call<'_>) -> Result<Dynamic, Fail> {
    let (options, page, first) = (call.options(1)?, call.closure(2)?, call.text(0)?);
    let next = options.closure("next")?;
    let mut place = Place { url: first, query: Vec::new() };
    let (mut seen, mut count) = (BTreeSet::new(), 0_i64);
    loop {
        if !seen.insert(hash_text(&format!("{}\n{:?}", place.url, place.query))) {
            let message =
                format!("`{}` came twice: the pages are a circle; hint: check what `next` returns", place.url);
            return Err(call.invalid(message));
        }
        // What a test's mock gets: the page that is asked for.
        call.args[0] = place.url.clone().into();
        call.args[1] = asked(&options, &place)?;
        let answer = get(call, &options, &place)?;
        count += 1;
        let goes_on = page.call_within_context::<Dynamic>(&call.context, (answer.clone(),))?;
        if goes_on.as_bool() == Ok(false) {
            return Ok(count.into());
        }
        match follow(call, next.as_ref(), &place, &answer)? {
            Some(following) => place = following,
            None => return Ok(count.into()),
        }
    }
}

fn get(call: &Call<'_>, options: &Options, place: &Place) -> Result<Dynamic, Fail> {
    let mut request = http::request(call, "get", place.url.clone(), None, options)?;
    request.query.retain(|(name, _)| place.query.iter().all(|(other, _)| other != name));
    request.query.extend(place.query.iter().cloned());
    http::wait_for_rate(call, &request.url, options)?;
    let plan: Plan = http::plan(call, request, options)?;
    effects::run(call, &plan)
}

/// The options with the query of a page.
fn asked(options: &Options, place: &Place) -> Result<Dynamic, Fail> {
    let mut map = options.map.clone();
    if !place.query.is_empty() {
        let mut query = options.map("query")?.unwrap_or_default();
        query.extend(place.query.iter().map(|(name, value)| (name.into(), value.clone().into())));
        map.insert("query".into(), Dynamic::from_map(query));
    }
    Ok(Dynamic::from_map(map))
}

/// The page after this one.
fn follow(call: &Call<'_>, next: Option<&FnPtr>, place: &Place, answer: &Dynamic) -> Result<Option<Place>, Fail> {
    let base = answer.read_lock::<Map>().and_then(|map| map.get("url").map(ToString::to_string)).unwrap_or_default();
    let joined = |text: &str| {
        let base = Url::parse(&base).map_err(|_| call.invalid(format!("`{text}` is no address")))?;
        base.join(text).map_err(|_| call.invalid(format!("the next page `{text}` is no address")))
    };
    let Some(next) = next else {
        let Some(link) = linked(answer) else { return Ok(None) };
        let url = joined(&link)?;
        if Url::parse(&base).is_ok_and(|base| base.origin() != url.origin()) {
            let message = format!("`{}`: the next page is on another host, `{url}`", call.function.name);
            return Err(Fail::error(
                "denied",
                format!("{message}; hint: give `next`, where it is meant to be followed"),
            ));
        }
        return Ok(Some(Place { url: url.into(), query: Vec::new() }));
    };
    let found = super::pure(|| next.call_within_context::<Dynamic>(&call.context, (answer.clone(),)))?;
    if found.is_unit() {
        return Ok(None);
    }
    if found.is_string() {
        let text = found.to_string();
        // What holds a secret is left as it was written.
        let url = if text.contains("://") { text } else { joined(&text)?.into() };
        return Ok(Some(Place { url, query: Vec::new() }));
    }
    let kind = type_of(&found);
    let Some(map) = found.try_cast::<Map>() else {
        return Err(call.invalid(format!("option `next` returns an address, a map or `()`, not {kind}")));
    };
    let query = map.iter().map(|(name, value)| Ok((name.to_string(), http::plain(call, name, value)?)));
    Ok(Some(Place { url: place.url.clone(), query: query.collect::<Result<_, Fail>>()? }))
}

/// What the header `Link` calls the next (RFC 8288).
fn linked(answer: &Dynamic) -> Option<String> {
    let map = answer.read_lock::<Map>()?;
    let headers = map.get("headers")?.read_lock::<Map>()?;
    let header = headers.get("link")?.to_string();
    (1..=header.matches('<').count()).find_map(|nth| of_link(&header, nth))
}

/// The target of the n-th link, where it is the next page.
fn of_link(header: &str, nth: usize) -> Option<String> {
    let link = header.split('<').nth(nth)?;
    let (target, parameters) = link.split_once('>')?;
    let is_next = parameters.split(';').filter_map(|parameter| parameter.split_once('=')).any(|(name, value)| {
        let value = value.trim().trim_end_matches(',').trim().trim_matches('"');
        name.trim().eq_ignore_ascii_case("rel") && value.split(' ').any(|rel| rel.eq_ignore_ascii_case("next"))
    });
    is_next.then(|| target.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn linked_in(header: &str) -> Option<String> {
        let headers = Map::from_iter([("link".into(), header.into())]);
        linked(&Dynamic::from_map(Map::from_iter([("headers".into(), Dynamic::from_map(headers))])))
    }

    #[test]
    fn the_next_page_is_found_among_links() {
        for (header, expected) in [
            ("<https://a.example/?page=2>; rel=\"next\"", Some("https://a.example/?page=2")),
            ("<?a=1,2>; rel=prev, <?a=3,4>; title=\"x\"; rel=\"last next\"", Some("?a=3,4")),
            ("<b>; rel=prev", None),
            ("", None),
            ("<b", None),
        ] {
            assert_eq!(linked_in(header).as_deref(), expected, "{header}");
        }
    }
}
