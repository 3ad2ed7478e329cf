//! `file::*`: files in the workflow's own folder. Each redoes itself safely after a crash.

use std::rc::Rc;

use rhai::{Dynamic, Map};

use super::effects::{self, Plan};
use super::fail::Fail;
use super::function::{Call, Choice, Function, Nature, type_of};
use crate::effect::file::{Contents, FileStat};
use crate::effect::{FileReply, FileRequest, Reply, Request};

macro_rules! function {
    ($name:literal, [$($param:literal),*], $nature:ident, $returns:literal, $doc:literal, $example:literal, $request:expr) => {
        Function {
            name: concat!("file::", $name),
            params: &[$($param),*],
            returns: $returns,
            nature: Nature::$nature,
            errors: &["file", "not_found", "denied"],
            capability: Some("files"),
            doc: $doc,
            example: $example,
            call: |call| {
                let request: fn(&Call<'_>) -> Result<FileRequest, Fail> = $request;
                let plan = Plan { request: Rc::new(Request::File(request(call)?)), policy: None, shape, key: None };
                effects::run(call, &plan)
            },
            ..Function::BASE
        }
    };
}

/// The functions of this topic.
pub(super) static FUNCTIONS: &[Function] = &[
    Function {
        name: "file::read",
        params: &["path: string", "options: map?"],
        options: &[Choice::new(
            "encoding",
            "string",
            "what the text is written in, such as `windows-1252`, `iso-8859-15` or `utf-16le`; else UTF-8",
        )],
        returns: "string",
        nature: Nature::Reading,
        errors: &["file", "not_found", "denied"],
        capability: Some("files"),
        doc: "The text of a file.",
        example: "file::read(\"inbox/orders.csv\")",
        call: |call| {
            let (path, encoding) = (call.text(0)?, encoding(call)?);
            let request = Rc::new(Request::File(FileRequest::Read { path, max_bytes: None, encoding }));
            effects::run(call, &Plan { request, policy: None, shape, key: None })
        },
    },
    function!(
        "read_blob",
        ["path: string"],
        Reading,
        "blob",
        "The bytes of a file.",
        "file::read_blob(\"scan.pdf\")",
        |call| Ok(FileRequest::ReadBlob { path: call.text(0)?, max_bytes: None })
    ),
    function!(
        "write",
        ["path: string", "contents: string or blob"],
        Mutating,
        "()",
        "Makes or replaces a file, atomically.",
        "file::write(\"out/summary.txt\", \"done\")",
        |call| Ok(FileRequest::Write { path: call.text(0)?, contents: contents(call)? })
    ),
    function!(
        "append",
        ["path: string", "contents: string or blob"],
        Mutating,
        "()",
        "Adds to the end of a file, once, also across a crash.",
        "file::append(\"out/log.csv\", \"1;2\\n\")",
        |call| Ok(FileRequest::Append { path: call.text(0)?, contents: contents(call)? })
    ),
    function!(
        "copy",
        ["from: string", "to: string"],
        Mutating,
        "()",
        "Copies a file.",
        "file::copy(\"a.txt\", \"b.txt\")",
        |call| Ok(FileRequest::Copy { from: call.text(0)?, to: call.text(1)? })
    ),
    function!(
        "move",
        ["from: string", "to: string"],
        Mutating,
        "()",
        "Moves a file or folder.",
        "file::move(\"inbox/a.csv\", \"done/a.csv\")",
        |call| Ok(FileRequest::Move { from: call.text(0)?, to: call.text(1)? })
    ),
    function!("remove", ["path: string"], Mutating, "()", "Removes a file.", "file::remove(\"old.txt\")", |call| Ok(
        FileRequest::Remove { path: call.text(0)? }
    )),
    function!(
        "list",
        ["glob: string"],
        Reading,
        "list of string",
        "The paths that match, sorted.",
        "file::list(\"inbox/*.csv\")",
        |call| Ok(FileRequest::List { glob: call.text(0)? })
    ),
    function!(
        "exists",
        ["path: string"],
        Reading,
        "bool",
        "Whether there is such a file or folder.",
        "file::exists(\"a.txt\")",
        |call| Ok(FileRequest::Exists { path: call.text(0)? })
    ),
    function!(
        "stat",
        ["path: string"],
        Reading,
        "map: path, name, size, modified, sha256, folder",
        "`#{ path, name, size, modified, sha256, folder }`.",
        "file::stat(\"a.txt\").size",
        |call| Ok(FileRequest::Stat { path: call.text(0)?, hash: true })
    ),
    Function {
        name: "file::open",
        params: &["path: string"],
        returns: "map: path, name, size, modified, sha256, folder, stream",
        nature: Nature::Reading,
        errors: &["file", "not_found", "denied"],
        capability: Some("files"),
        doc: "A reference to a file as it is now. A request streams it, as its body or as a part of `multipart`; mail attaches it.",
        example: "file::open(\"scan.pdf\").size",
        call: |call| {
            let request = Rc::new(Request::File(FileRequest::Open { path: call.text(0)? }));
            effects::run(call, &Plan { request, policy: None, shape: shape_reference, key: None })
        },
        ..Function::BASE
    },
    function!("temp", [], Mutating, "string", "A folder of this run alone.", "file::temp()", |call| {
        let session = call.session()?.0;
        session.has_folder.set(true);
        Ok(FileRequest::Temp { run: session.facts.run.to_string() })
    }),
];

fn encoding(call: &Call<'_>) -> Result<Option<String>, Fail> {
    let label = call.options(1)?.text("encoding")?;
    if let Some(label) = label.as_deref().filter(|label| !crate::effect::file::knows_encoding(label)) {
        let hint = "such as `windows-1252`, `iso-8859-15` or `utf-16le`";
        return Err(call.invalid(format!("option `encoding`: `{label}` is no known encoding; hint: {hint}")));
    }
    Ok(label)
}

fn contents(call: &Call<'_>) -> Result<Contents, Fail> {
    match call.arg(1) {
        Some(value) if value.is_string() => {
            let text = value.to_string();
            if !crate::script::secret::find_placeholders(&text).is_empty() {
                return Err(
                    call.invalid("the contents hold a secret; hint: secrets are only sent, to hosts: never written")
                );
            }
            Ok(text.into_bytes().into())
        }
        Some(value) if value.is_blob() => Ok(value.clone().cast::<rhai::Blob>().into()),
        other => Err(call.invalid(format!(
            "`contents` must be a text or bytes, not {}; hint: `json::encode` and `csv::encode` make text",
            other.map_or("nothing", type_of)
        ))),
    }
}

fn shape(reply: Reply) -> Dynamic {
    let Reply::File(reply) = reply else { unreachable!("a file request gets a file reply") };
    match reply {
        FileReply::Done => Dynamic::UNIT,
        FileReply::Text(text) | FileReply::Path(text) => text.into(),
        FileReply::Blob(bytes) => Dynamic::from_blob(bytes),
        FileReply::Flag(flag) => flag.into(),
        FileReply::List(paths) => paths.into_iter().map(Dynamic::from).collect::<Vec<_>>().into(),
        FileReply::Stat(stat) => stat_map(stat),
    }
}

/// What is opened is told from what is looked at.
fn shape_reference(reply: Reply) -> Dynamic {
    let shaped = shape(reply);
    let Some(mut map) = shaped.clone().try_cast::<Map>() else { return shaped };
    map.insert(super::parts::STREAM.into(), true.into());
    Dynamic::from_map(map)
}

/// Facts about a file as scripts see them.
pub(super) fn stat_map(stat: FileStat) -> Dynamic {
    let mut map = Map::new();
    map.insert("path".into(), stat.path.into());
    map.insert("name".into(), stat.name.into());
    map.insert("size".into(), (stat.size as i64).into());
    map.insert("modified".into(), stat.modified.to_string().into());
    map.insert("sha256".into(), stat.sha256.map_or(Dynamic::UNIT, Into::into));
    map.insert("folder".into(), stat.is_folder.into());
    Dynamic::from_map(map)
}
