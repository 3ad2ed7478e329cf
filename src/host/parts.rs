//! Files that a request streams: what `file::open` returns as a body, and the parts of the option `multipart`.

use rhai::{Array, Blob, Dynamic, Map};

use super::fail::Fail;
use super::function::{Call, Options, type_of};
use super::http::plain;
use crate::effect::http::{Part, PartContents, SentFile};

/// The key that tells a reference to a file from a map that merely has the same facts.
pub(super) const STREAM: &str = "stream";

/// The file that `file::open` returned; `None`: it is another value.
pub(super) fn reference(value: &Dynamic) -> Option<SentFile> {
    let map = value.read_lock::<Map>()?;
    let is_one = map.get(STREAM).and_then(|value| value.as_bool().ok()).unwrap_or(false);
    let path = map.get("path").filter(|path| is_one && path.is_string())?.to_string();
    let sha256 = map.get("sha256").filter(|hash| hash.is_string()).map(ToString::to_string);
    let size = map.get("size").and_then(|size| size.as_int().ok()).and_then(|size| u64::try_from(size).ok());
    Some(SentFile { path, sha256, size })
}

/// The parts of the option `multipart`, in the order of its keys.
pub(super) fn multipart(call: &Call<'_>, options: &Options) -> Result<Option<Vec<Part>>, Fail> {
    let Some(fields) = options.map("multipart")? else { return Ok(None) };
    let mut parts = Vec::new();
    for (name, value) in fields {
        let values = if value.is_array() { value.cast::<Array>() } else { vec![value] };
        for value in values {
            parts.push(part(call, &name, &value)?);
        }
    }
    Ok(Some(parts))
}

fn part(call: &Call<'_>, name: &str, value: &Dynamic) -> Result<Part, Fail> {
    if let Some(file) = reference(value) {
        return Ok(of_file(name, file));
    }
    let Some(map) = value.clone().try_cast::<Map>() else {
        let contents = match value.clone().try_cast::<Blob>() {
            Some(bytes) => PartContents::Bytes(bytes),
            None => PartContents::Text(plain(call, name, value)?),
        };
        let file_name = matches!(contents, PartContents::Bytes(_)).then(|| name.to_owned());
        return Ok(Part { name: name.to_owned(), file_name, content_type: None, contents });
    };
    let text = |key: &str| map.get(key).filter(|value| value.is_string()).map(ToString::to_string);
    let unknown = map.keys().find(|key| !["file", "name", "type"].contains(&key.as_str()));
    if let Some(key) = unknown {
        let message = format!(
            "a part of `multipart` has no `{key}`; hint: `#{{ file, name, type }}`, or what `file::open` returns"
        );
        return Err(call.invalid(message));
    }
    let mut part = match map.get("file") {
        Some(path) if path.is_string() => of_file(name, SentFile { path: path.to_string(), ..SentFile::default() }),
        Some(bytes) if bytes.is_blob() => Part {
            name: name.to_owned(),
            file_name: Some(name.to_owned()),
            content_type: None,
            contents: PartContents::Bytes(bytes.clone().cast::<Blob>()),
        },
        Some(value) => {
            let file = reference(value).ok_or_else(|| {
                call.invalid(format!(
                    "`file` of a part is a path, bytes or what `file::open` returns, not {}",
                    type_of(value)
                ))
            })?;
            of_file(name, file)
        }
        None => return Err(call.invalid(format!("the part `{name}` needs `file`, a path"))),
    };
    part.file_name = text("name").or(part.file_name);
    part.content_type = text("type");
    Ok(part)
}

fn of_file(name: &str, file: SentFile) -> Part {
    let last = file.path.rsplit('/').next().unwrap_or(&file.path).to_owned();
    Part { name: name.to_owned(), file_name: Some(last), content_type: None, contents: PartContents::File(file) }
}
