//! A few things by name, in the order of their names: in JSON an object.
//!
//! **Cost**: a name that is shared, and the thing; in one piece, where a map of the standard library takes half a kilobyte and more, a million times a day.

use std::borrow::Borrow;
use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Things by name.
#[derive(Clone, Debug, PartialEq)]
pub struct Named<T>(Box<[(Arc<str>, T)]>);

impl<T> Named<T> {
    /// What has this name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&T> {
        self.iter().find(|(known, _)| *known == name).map(|(_, thing)| thing)
    }

    /// All, in the order of their names.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &T)> {
        self.0.iter().map(|(name, thing)| (name.borrow(), thing))
    }

    /// All, without their names.
    pub fn values(&self) -> impl Iterator<Item = &T> {
        self.0.iter().map(|(_, thing)| thing)
    }
}

impl<T> Default for Named<T> {
    fn default() -> Self {
        Self(Box::default())
    }
}

impl<N: Into<Arc<str>>, T> FromIterator<(N, T)> for Named<T> {
    fn from_iter<I: IntoIterator<Item = (N, T)>>(all: I) -> Self {
        let mut all: Box<[(Arc<str>, T)]> = all.into_iter().map(|(name, thing)| (name.into(), thing)).collect();
        all.sort_by(|(one, _), (other, _)| one.cmp(other));
        Self(all)
    }
}

impl<N: Into<Arc<str>>, T, const COUNT: usize> From<[(N, T); COUNT]> for Named<T> {
    fn from(all: [(N, T); COUNT]) -> Self {
        all.into_iter().collect()
    }
}

impl<T: Serialize> Serialize for Named<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.iter())
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Named<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        BTreeMap::<String, T>::deserialize(deserializer).map(|all| all.into_iter().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn in_json_it_is_an_object_in_order() {
        let named: Named<u8> = [("nik", 2), ("email", 1)].into();
        let text = serde_json::to_string(&named).expect("JSON");
        assert_eq!(text, r#"{"email":1,"nik":2}"#);
        assert_eq!(serde_json::from_str::<Named<u8>>(&text).expect("an object"), named);
        assert_eq!((named.get("nik"), named.get("photo"), named.values().sum::<u8>()), (Some(&2), None, 3));
    }
}
