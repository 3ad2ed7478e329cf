//! Script values as other formats read and write them: the bridge to `serde`, with a bound on nesting.

use std::fmt;

use rhai::{Array, Dynamic, Map};
use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde::ser::{Serialize, SerializeMap as _, SerializeSeq as _, Serializer};

use crate::script::guard;
use crate::script::secret::SecretRef;
use crate::script::value::MOST_NESTED;

/// A value that is being read. Map keys become texts; integers beyond 64 bits become floats.
pub(super) struct Tree(pub(super) Dynamic);

impl<'de> serde::Deserialize<'de> for Tree {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Node { room: MOST_NESTED }.deserialize(deserializer).map(Self)
    }
}

#[derive(Clone, Copy)]
struct Node {
    room: usize,
}

impl Node {
    fn inner<E: serde::de::Error>(self) -> Result<Self, E> {
        guard::check().map_err(|_| E::custom("stopped"))?;
        let room =
            self.room.checked_sub(1).ok_or_else(|| E::custom(format!("nested deeper than {MOST_NESTED} levels")))?;
        Ok(Self { room })
    }
}

impl<'de> DeserializeSeed<'de> for Node {
    type Value = Dynamic;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Dynamic, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Node {
    type Value = Dynamic;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_bool<E>(self, flag: bool) -> Result<Dynamic, E> {
        Ok(flag.into())
    }

    fn visit_i64<E>(self, number: i64) -> Result<Dynamic, E> {
        Ok(number.into())
    }

    fn visit_u64<E>(self, number: u64) -> Result<Dynamic, E> {
        Ok(i64::try_from(number).map_or_else(|_| (number as f64).into(), Dynamic::from_int))
    }

    fn visit_i128<E>(self, number: i128) -> Result<Dynamic, E> {
        Ok(i64::try_from(number).map_or_else(|_| (number as f64).into(), Dynamic::from_int))
    }

    fn visit_u128<E>(self, number: u128) -> Result<Dynamic, E> {
        Ok(i64::try_from(number).map_or_else(|_| (number as f64).into(), Dynamic::from_int))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Dynamic, E> {
        Ok(number.into())
    }

    fn visit_str<E>(self, text: &str) -> Result<Dynamic, E> {
        Ok(text.into())
    }

    fn visit_bytes<E>(self, bytes: &[u8]) -> Result<Dynamic, E> {
        Ok(Dynamic::from_blob(bytes.to_vec()))
    }

    fn visit_unit<E>(self) -> Result<Dynamic, E> {
        Ok(Dynamic::UNIT)
    }

    fn visit_none<E>(self) -> Result<Dynamic, E> {
        Ok(Dynamic::UNIT)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Dynamic, D::Error> {
        self.deserialize(deserializer)
    }

    fn visit_newtype_struct<D: Deserializer<'de>>(self, deserializer: D) -> Result<Dynamic, D::Error> {
        self.deserialize(deserializer)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Dynamic, A::Error> {
        let inner = self.inner()?;
        let mut list = Array::new();
        while let Some(item) = seq.next_element_seed(inner)? {
            list.push(item);
        }
        Ok(Dynamic::from_array(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut pairs: A) -> Result<Dynamic, A::Error> {
        let inner = self.inner()?;
        let mut map = Map::new();
        while let Some(key) = pairs.next_key_seed(inner)? {
            if key.is_array() || key.is_map() {
                return Err(A::Error::custom("a key is a text, not a list or a map"));
            }
            let name = if key.is_unit() { "null".to_owned() } else { key.to_string() };
            let value = pairs.next_value_seed(inner)?;
            if map.insert(name.as_str().into(), value).is_some() {
                return Err(A::Error::custom(format!("the key `{name}` is there twice")));
            }
        }
        Ok(Dynamic::from_map(map))
    }
}

/// A value that is being written. It must be data: what cannot be kept in the journal is refused before.
pub(super) struct Written<'a> {
    /// The value.
    pub(super) value: &'a Dynamic,
    /// `()` in maps is left out, for formats that have no null.
    pub(super) drop_nulls: bool,
}

impl Serialize for Written<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use serde::ser::Error as _;
        let inner = |value| Written { value, drop_nulls: self.drop_nulls };
        let value = self.value;
        if let Some(map) = value.read_lock::<Map>() {
            let kept = || map.iter().filter(|(_, value)| !(self.drop_nulls && value.is_unit()));
            let mut out = serializer.serialize_map(Some(kept().count()))?;
            for (key, value) in kept() {
                out.serialize_entry(key.as_str(), &inner(value))?;
            }
            return out.end();
        }
        if let Some(list) = value.read_lock::<Array>() {
            let mut out = serializer.serialize_seq(Some(list.len()))?;
            for item in list.iter() {
                guard::check().map_err(|_| S::Error::custom("stopped"))?;
                out.serialize_element(&inner(item))?;
            }
            return out.end();
        }
        if let Some(blob) = value.read_lock::<rhai::Blob>() {
            use base64::Engine as _;
            return serializer.serialize_str(&base64::engine::general_purpose::STANDARD.encode(&*blob));
        }
        if let Some(secret) = value.read_lock::<SecretRef>() {
            return serializer.serialize_str(&secret.placeholder());
        }
        match (value.as_bool(), value.as_int(), value.as_float()) {
            (Ok(flag), ..) => serializer.serialize_bool(flag),
            (_, Ok(number), _) => serializer.serialize_i64(number),
            (.., Ok(number)) => serializer.serialize_f64(number),
            _ if value.is_unit() && self.drop_nulls => Err(S::Error::custom("a list cannot have `()` as an item")),
            _ if value.is_unit() => serializer.serialize_unit(),
            _ => serializer.serialize_str(&value.to_string()),
        }
    }
}
