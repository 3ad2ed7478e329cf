//! Natives that make arrays, maps and blobs grow: sizes and nesting are checked before they act.

use rhai::{Array, Blob, Dynamic, Engine, FnPtr, ImmutableString, Map, NativeCallContext};

use super::guard::{self, Outcome};
use super::{check_items, nesting, register_changing};

/// A blob may have this many bytes, as many as an array.
const LARGEST_BLOB: usize = 64 << 20;

pub(super) fn register(engine: &mut Engine) {
    register_inserts(engine);
    register_blobs(engine);
    register_maps(engine);
    register_changing(engine, "pad", |items: &mut Array, length: i64, item: Dynamic| -> Outcome<()> {
        let length = usize::try_from(length).unwrap_or(0);
        let missing = length.saturating_sub(items.len());
        nesting::check(&item)?;
        check_items(items.len().max(length))?;
        check_items(missing.saturating_mul(parts(&item)))?;
        items.resize(items.len() + missing, item);
        Ok(())
    });
}

fn register_inserts(engine: &mut Engine) {
    register_changing(engine, "push", |items: &mut Array, item: Dynamic| -> Outcome<()> {
        nesting::check(&item)?;
        items.push(item);
        Ok(())
    });
    register_changing(engine, "insert", |items: &mut Array, at: i64, item: Dynamic| -> Outcome<()> {
        nesting::check(&item)?;
        let at = place(items.len(), at).min(items.len());
        items.insert(at, item);
        Ok(())
    });
    register_changing(engine, "set", |items: &mut Array, at: i64, item: Dynamic| -> Outcome<()> {
        nesting::check(&item)?;
        let at = place(items.len(), at);
        if let Some(slot) = items.get_mut(at) {
            *slot = item;
        }
        Ok(())
    });
    register_changing(engine, "set", |map: &mut Map, key: &str, item: Dynamic| -> Outcome<()> {
        nesting::check(&item)?;
        map.insert(key.into(), item);
        Ok(())
    });
}

fn place(length: usize, at: i64) -> usize {
    if at < 0 { length.saturating_sub(at.unsigned_abs() as usize) } else { at as usize }
}

/// How many values a value consists of.
fn parts(value: &Dynamic) -> usize {
    if let Ok(items) = value.as_array_ref() {
        return 1 + items.iter().map(parts).sum::<usize>();
    }
    if let Ok(map) = value.as_map_ref() {
        // A map's entry takes a key besides.
        return 1 + map.values().map(|item| 2 + parts(item)).sum::<usize>();
    }
    value.as_blob_ref().map_or(1, |blob| 1 + blob.len() / size_of::<Dynamic>())
}

fn register_blobs(engine: &mut Engine) {
    engine.register_fn("blob", |length: i64| blob(length, 0));
    engine.register_fn("blob", blob);
    register_changing(engine, "pad", |blob: &mut Blob, length: i64, value: i64| -> Outcome<()> {
        let length = usize::try_from(length).unwrap_or(0).max(blob.len());
        check_blob(length)?;
        blob.resize(length, (value & 0xff) as u8);
        Ok(())
    });
    engine.register_fn("to_array", |blob: &mut Blob| -> Outcome<Array> {
        check_items(blob.len())?;
        Ok(blob.iter().map(|&byte| Dynamic::from_int(byte.into())).collect())
    });
    engine.register_fn("as_string", |blob: Blob| -> Outcome<ImmutableString> {
        super::check_string(blob.len())?;
        Ok(String::from_utf8_lossy(&blob).into_owned().into())
    });
}

fn blob(length: i64, value: i64) -> Outcome<Blob> {
    let length = usize::try_from(length).unwrap_or(0);
    check_blob(length)?;
    Ok(vec![(value & 0xff) as u8; length])
}

fn check_blob(bytes: usize) -> Outcome<()> {
    if bytes > LARGEST_BLOB {
        return Err(guard::limit(format!("a blob would be larger than {} MiB (blob limit)", LARGEST_BLOB >> 20)));
    }
    Ok(())
}

/// `map` and `zip` put what their callback returns one level deeper, without a literal that `rewrite` could see.
fn register_maps(engine: &mut Engine) {
    engine.register_fn("map", |context: NativeCallContext, items: &mut Array, mapper: FnPtr| -> Outcome<Array> {
        let mut mapped = Array::with_capacity(items.len());
        for (at, item) in items.iter_mut().enumerate() {
            let extra = [Dynamic::from_int(at as i64)];
            mapped.push(checked(mapper.call_raw_with_extra_args("map", &context, Some(item), [], extra, Some(0))?)?);
        }
        Ok(mapped)
    });
    engine.register_fn("map", |context: NativeCallContext, map: &mut Map, mapper: FnPtr| -> Outcome<Map> {
        let mut mapped = Map::new();
        for (key, item) in map.iter_mut() {
            let value = mapper.call_raw_with_extra_args("map", &context, Some(item), [key.into()], [], Some(1))?;
            mapped.insert(key.clone(), checked(value)?);
        }
        Ok(mapped)
    });
    engine.register_fn(
        "zip",
        |context: NativeCallContext, left: &mut Array, right: Array, mapper: FnPtr| -> Outcome<Array> {
            let mut zipped = Array::with_capacity(left.len().min(right.len()));
            for (at, (a, b)) in left.iter().zip(right).enumerate() {
                let extra = [Dynamic::from_int(at as i64)];
                zipped.push(checked(mapper.call_raw_with_extra_args(
                    "zip",
                    &context,
                    None,
                    [a.clone(), b],
                    extra,
                    None,
                )?)?);
            }
            Ok(zipped)
        },
    );
}

fn checked(value: Dynamic) -> Outcome<Dynamic> {
    nesting::check(&value)?;
    Ok(value)
}
