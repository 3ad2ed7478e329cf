//! "Did you mean": the nearest known name to a mistyped one.

/// The candidate nearest to `name`, if it is near enough to be worth naming.
///
/// Names may be qualified (`http::get`): a right function in the wrong or missing namespace is found too.
pub fn nearest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let wanted = name.to_lowercase();
    candidates
        .into_iter()
        .filter(|candidate| *candidate != name)
        .filter_map(|candidate| score(&wanted, candidate).map(|score| (score, candidate)))
        .min()
        .map(|(_, candidate)| candidate)
}

/// `did you mean `x`?`, for a hint.
pub fn did_you_mean<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<String> {
    nearest(name, candidates).map(|found| format!("did you mean `{found}`?"))
}

/// Lower is nearer; `None` is not near at all.
fn score(wanted: &str, candidate: &str) -> Option<usize> {
    let candidate = candidate.to_lowercase();
    let plain = within(distance(wanted, &candidate), wanted).map(|distance| distance * 4);
    let qualified = qualified_score(wanted, &candidate);
    plain.into_iter().chain(qualified).min()
}

/// Compares namespaces and last names apart, so that `get` finds `http::get` and `htp::get` finds `http::get`.
fn qualified_score(wanted: &str, candidate: &str) -> Option<usize> {
    let (space, last) = split(candidate);
    let (wanted_space, wanted_last) = split(wanted);
    if space.is_empty() && wanted_space.is_empty() {
        return None;
    }
    let last_distance = within(distance(wanted_last, last), wanted_last)?;
    if wanted_space.is_empty() || space.is_empty() {
        return (last_distance == 0 && last.len() > 2).then_some(6);
    }
    let space_distance = within(distance(wanted_space, space), wanted_space)?;
    Some((last_distance + space_distance) * 4 + 1)
}

fn split(name: &str) -> (&str, &str) {
    name.rsplit_once("::").unwrap_or(("", name))
}

/// A third of the letters may be wrong, at least one and at most three: more is another word.
fn within(distance: usize, name: &str) -> Option<usize> {
    let allowed = (name.chars().count() / 3).clamp(1, 3);
    (distance <= allowed && distance < name.chars().count().max(1)).then_some(distance)
}

/// Damerau-Levenshtein (optimal string alignment): edits, and swaps of neighbours as one edit.
fn distance(a: &str, b: &str) -> usize {
    let a: Vec<char> = a.chars().collect();
    let b: Vec<char> = b.chars().collect();
    if a.len().abs_diff(b.len()) > 3 {
        return usize::MAX;
    }
    let mut rows: Vec<Vec<usize>> = vec![(0..=b.len()).collect()];
    for i in 1..=a.len() {
        let mut row = vec![i; b.len() + 1];
        for j in 1..=b.len() {
            let cost = usize::from(a[i - 1] != b[j - 1]);
            let mut best = (rows[i - 1][j] + 1).min(row[j - 1] + 1).min(rows[i - 1][j - 1] + cost);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                best = best.min(rows[i - 2][j - 2] + 1);
            }
            row[j] = best;
        }
        rows.push(row);
    }
    rows[a.len()][b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAMES: &[&str] =
        &["http::get", "http::post", "sql::query", "sleep", "sleep_until", "step", "parallel", "log::info"];

    fn near(name: &str) -> Option<&'static str> {
        nearest(name, NAMES.iter().copied())
    }

    #[test]
    fn typing_errors() {
        assert_eq!(near("slepe"), Some("sleep"));
        assert_eq!(near("paralel"), Some("parallel"));
        assert_eq!(near("http::gte"), Some("http::get"));
        assert_eq!(near("Step"), Some("step"));
    }

    #[test]
    fn namespaces() {
        assert_eq!(near("htpp::get"), Some("http::get"));
        assert_eq!(near("query"), Some("sql::query"));
        assert_eq!(near("http::postt"), Some("http::post"));
    }

    #[test]
    fn nothing_near() {
        assert_eq!(near("transmogrify"), None);
        assert_eq!(near("x"), None);
        assert_eq!(near(""), None);
    }
}
