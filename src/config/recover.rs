//! The TOML of a configuration, read on behind what is wrong in it: whatever serde refuses is told and taken out, and the rest is read
//! again.

use std::ops::Range;

use serde::Deserialize;
use toml::Spanned;
use toml::de::{DeArray, DeTable, DeValue, Deserializer, Error};

use crate::config::document::Document;

/// The place of the document as a whole.
pub(super) const WHOLE: Range<usize> = 0..usize::MAX;

/// Hands each error of `text` to `tell`, which says whether to go on behind it. What is left of the document comes with the places of
/// the sections and lists that something was taken out of: what they seem to lack may be what was refused. Without TOML there is nothing.
pub(super) fn document(
    text: &str,
    mut tell: impl FnMut(&Error) -> bool,
) -> Option<(Document, Vec<Range<usize>>)> {
    let (mut root, errors) = DeTable::parse_recoverable(text);
    if !errors.is_empty() {
        // What the keys behind such an error mean cannot be known.
        let _ = errors.iter().take_while(|error| tell(error)).count();
        return None;
    }
    let mut incomplete = Vec::new();
    loop {
        let error = match Document::deserialize(Deserializer::from(root.clone())) {
            Ok(document) => return Some((document, incomplete)),
            Err(error) => error,
        };
        let is_out = error.span().and_then(|at| out_of_table(root.get_mut(), WHOLE, &at));
        if !tell(&error) {
            return None;
        }
        incomplete.push(is_out?);
    }
}

/// Takes the innermost entry or element at a place out; the place of what it was taken out of.
fn out_of_table(table: &mut DeTable<'_>, own: Range<usize>, at: &Range<usize>) -> Option<Range<usize>> {
    if let Some(inside) = table.iter_mut().find_map(|(_, value)| out_of_value(value, at)) {
        return Some(inside);
    }
    let refused = table.iter().find(|(key, value)| key.span() == *at || value.span() == *at)?.0.clone();
    table.remove(&refused).map(|_| own)
}

fn out_of_value(value: &mut Spanned<DeValue<'_>>, at: &Range<usize>) -> Option<Range<usize>> {
    let own = value.span();
    match value.get_mut() {
        DeValue::Table(table) => out_of_table(table, own, at),
        DeValue::Array(array) => {
            if let Some(inside) = array.iter_mut().find_map(|element| out_of_value(element, at)) {
                return Some(inside);
            }
            let kept: DeArray<'_> = array.iter().filter(|element| element.span() != *at).cloned().collect();
            if kept.len() == array.len() {
                return None;
            }
            *array = kept;
            Some(own)
        }
        _ => None,
    }
}
