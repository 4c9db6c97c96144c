//! Owner names in canonical order (RFC 4034 6.1), for signed zones: a persistent B-tree of blocks.
//!
//! ```text
//! inner node: (first entry below, child) ...   leaf: entry ...   entry: first eight bytes of the sort key, block
//! ```
//!
//! A copy shares everything; a change copies the nodes on the way to its leaf, for a million names some two hundred entries.
//! A search compares numbers and reads a block only where eight bytes do not decide.

use std::cmp::Ordering;
use std::sync::Arc;

use crate::wire::name::NameRef;

use super::owner::{Block, Owner};

/// Entries per node at most.
const MOST: usize = 64;
/// Entries per node when an order is laid out: some room for additions.
const FILL: usize = 48;
/// A node with fewer entries is joined with its neighbour where both fit into [`FILL`].
const FEW: usize = 16;

/// The names; `clone` is cheap and shares.
#[derive(Clone, Debug)]
pub(super) struct Order {
    root: Node,
    /// The length of the apex in wire form: labels from there on are the same in all names.
    apex: usize,
    len: usize,
}

#[derive(Clone, Debug)]
struct Entry {
    key: u64,
    block: Block,
}

#[derive(Clone, Debug)]
enum Node {
    Leaf(Arc<[Entry]>),
    Inner(Arc<[Child]>),
}

#[derive(Clone, Debug)]
struct Child {
    /// The first entry below.
    first: Entry,
    node: Node,
}

impl Order {
    /// Lays out an order of these blocks; names must differ and be in the zone `apex`.
    pub(super) fn build(apex: &NameRef, blocks: impl Iterator<Item = Block>) -> Order {
        let apex = apex.as_wire().len();
        let mut entries: Vec<Entry> =
            blocks.map(|block| Entry { key: key(Owner::new(&block).name(), apex), block }).collect();
        entries.sort_unstable_by(|a, b| a.cmp(b.key, b.name()));
        let len = entries.len();
        let mut level: Vec<Node> = entries.chunks(FILL).map(|chunk| Node::Leaf(chunk.into())).collect();
        while level.len() > 1 {
            let children: Vec<Child> = level.into_iter().filter_map(Child::new).collect();
            level = children.chunks(FILL).map(|chunk| Node::Inner(chunk.into())).collect();
        }
        Order { root: level.pop().unwrap_or_else(|| Node::Leaf([].into())), apex, len }
    }

    /// How many names.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// The last owner that is not behind `name`, which must be in the zone; before the first comes the last (the chains of
    /// RFC 4034 4.1.1 and RFC 5155 3.1.7 are rings). `None` when there is nothing.
    pub(super) fn at_or_before(&self, name: &NameRef) -> Option<&Block> {
        let key = key(name, self.apex);
        let mut node = &self.root;
        loop {
            match node {
                Node::Leaf(entries) => {
                    let at = behind(entries, |entry| entry, key, name).checked_sub(1);
                    return at.map(|at| &entries[at].block).or_else(|| self.last());
                }
                Node::Inner(children) => {
                    let at = behind(children, |child| &child.first, key, name).checked_sub(1);
                    let Some(at) = at else { return self.last() };
                    node = &children[at].node;
                }
            }
        }
    }

    fn last(&self) -> Option<&Block> {
        let mut node = &self.root;
        loop {
            match node {
                Node::Leaf(entries) => return entries.last().map(|entry| &entry.block),
                Node::Inner(children) => node = &children.last()?.node,
            }
        }
    }

    /// Adds an owner or puts a new block in the place of the old one.
    pub(super) fn put(&mut self, block: &Block) {
        let entry = Entry { key: key(Owner::new(block).name(), self.apex), block: Block::clone(block) };
        let (nodes, added) = self.root.put(entry);
        self.len += usize::from(added);
        self.root = match nodes {
            (one, None) => one,
            (one, Some(two)) => Node::Inner([one, two].into_iter().filter_map(Child::new).collect()),
        };
    }

    /// Takes an owner out, if it is there.
    pub(super) fn remove(&mut self, name: &NameRef) {
        let Some(root) = self.root.remove(key(name, self.apex), name) else { return };
        self.len -= 1;
        self.root = match root {
            Node::Inner(children) if children.len() == 1 => children[0].node.clone(),
            Node::Inner(children) if children.is_empty() => Node::Leaf([].into()),
            root => root,
        };
    }
}

impl Entry {
    fn name(&self) -> &NameRef {
        Owner::new(&self.block).name()
    }

    fn cmp(&self, key: u64, name: &NameRef) -> Ordering {
        self.key.cmp(&key).then_with(|| match self.name() {
            // Where keys are alike the names mostly are.
            same if same == name => Ordering::Equal,
            other => other.canonical_cmp(name),
        })
    }
}

/// How many items, which stand in order by their `entry`, are not behind `name`. Few of them have its key, and only their names
/// are compared.
#[inline]
fn behind<T>(items: &[T], entry: impl Fn(&T) -> &Entry, key: u64, name: &NameRef) -> usize {
    let from = items.partition_point(|item| entry(item).key < key);
    match items.get(from) {
        Some(item) if entry(item).key == key => {
            from + items[from..].partition_point(|item| entry(item).cmp(key, name).is_le())
        }
        _ => from,
    }
}

impl Child {
    /// `None` for a node without entries.
    fn new(node: Node) -> Option<Child> {
        let first = match &node {
            Node::Leaf(entries) => entries.first()?.clone(),
            Node::Inner(children) => children.first()?.first.clone(),
        };
        Some(Child { first, node })
    }
}

impl Node {
    fn len(&self) -> usize {
        match self {
            Node::Leaf(entries) => entries.len(),
            Node::Inner(children) => children.len(),
        }
    }

    /// This node with the entry: one node or, when it grew too large, two; and whether the name is new.
    fn put(&self, entry: Entry) -> ((Node, Option<Node>), bool) {
        match self {
            Node::Leaf(entries) => {
                let at = entries.partition_point(|known| known.cmp(entry.key, entry.name()).is_lt());
                let known = entries.get(at).is_some_and(|known| known.cmp(entry.key, entry.name()).is_eq());
                (cut(entries, at, usize::from(known), [entry].into_iter(), Node::Leaf), !known)
            }
            Node::Inner(children) => {
                let behind =
                    children.partition_point(|child| child.first.cmp(entry.key, entry.name()).is_le());
                let at = behind.saturating_sub(1);
                let Some(child) = children.get(at) else {
                    return ((Node::Leaf([entry].into()), None), true);
                };
                let ((one, two), added) = child.node.put(entry);
                let new = [Some(one), two].into_iter().flatten().filter_map(Child::new);
                (cut(children, at, 1, new, Node::Inner), added)
            }
        }
    }

    /// This node without the name; `None` when it is not there.
    fn remove(&self, key: u64, name: &NameRef) -> Option<Node> {
        match self {
            Node::Leaf(entries) => {
                let at = entries.partition_point(|entry| entry.cmp(key, name).is_lt());
                entries.get(at).filter(|entry| entry.cmp(key, name).is_eq())?;
                Some(cut(entries, at, 1, std::iter::empty(), Node::Leaf).0)
            }
            Node::Inner(children) => {
                let behind = children.partition_point(|child| child.first.cmp(key, name).is_le());
                let at = behind.checked_sub(1)?;
                let node = children[at].node.remove(key, name)?;
                // Joined with the neighbour on its right, or else on its left.
                let next = if at + 1 < children.len() { at + 1 } else { at.saturating_sub(1) };
                let joined = (next != at && node.len() < FEW)
                    .then(|| {
                        let other = &children[next].node;
                        if next > at { node.join(other) } else { other.join(&node) }
                    })
                    .flatten();
                let (from, gone, node) = match joined {
                    Some(joined) => (at.min(next), 2, joined),
                    None => (at, 1, node),
                };
                Some(cut(children, from, gone, Child::new(node).into_iter(), Node::Inner).0)
            }
        }
    }

    /// One node of these two, when they fit into one.
    fn join(&self, other: &Node) -> Option<Node> {
        if self.len() + other.len() > FILL {
            return None;
        }
        match (self, other) {
            (Node::Leaf(a), Node::Leaf(b)) => Some(Node::Leaf(a.iter().chain(b.iter()).cloned().collect())),
            (Node::Inner(a), Node::Inner(b)) => {
                Some(Node::Inner(a.iter().chain(b.iter()).cloned().collect()))
            }
            _ => None,
        }
    }
}

/// `items` with `new` in the place of the `gone` items at `at`, as one node or two.
fn cut<T: Clone>(
    items: &[T],
    at: usize,
    gone: usize,
    new: impl Iterator<Item = T>,
    node: impl Fn(Arc<[T]>) -> Node,
) -> (Node, Option<Node>) {
    let behind = items[at + gone..].iter().cloned();
    let all: Vec<T> = items[..at].iter().cloned().chain(new).chain(behind).collect();
    if all.len() <= MOST {
        return (node(all.into()), None);
    }
    let (left, right) = all.split_at(all.len() / 2);
    (node(left.into()), Some(node(right.into())))
}

/// The first eight bytes of a key that sorts as RFC 4034 6.1 does: the labels below the apex, the uppermost first, each in
/// lower case and closed by a zero byte. The bytes 0 and 1 become two, so that a zero ends labels only.
fn key(name: &NameRef, apex: usize) -> u64 {
    let wire = name.as_wire();
    let below = wire.len().saturating_sub(apex);
    let mut bytes = [0; 8];
    // Most names have one label below the apex, all hashed ones have.
    let first = usize::from(wire[0]);
    if below == 1 + first {
        let label = &wire[1..=first.min(8)];
        bytes[..label.len()].copy_from_slice(label);
        bytes.make_ascii_lowercase();
        if bytes[..label.len()].iter().all(|&byte| byte >= 2) {
            return u64::from_be_bytes(bytes);
        }
        bytes = [0; 8];
    }
    let mut at = 0;
    let mut put = |byte: u8| {
        if let Some(place) = bytes.get_mut(at) {
            *place = byte;
            at += 1;
        }
        at < 8
    };
    let starts = name.label_starts();
    for &start in starts.iter().rev().skip_while(|&&start| usize::from(start) >= below) {
        let start = usize::from(start);
        for byte in wire[start + 1..][..usize::from(wire[start])].iter().map(u8::to_ascii_lowercase) {
            let more = if byte < 2 { put(1) && put(byte + 1) } else { put(byte) };
            if !more {
                return u64::from_be_bytes(bytes);
            }
        }
        if !put(0) {
            break;
        }
    }
    u64::from_be_bytes(bytes)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::super::owner::Draft;
    use super::*;
    use crate::wire::name::Name;

    fn found<'o>(order: &'o Order, name: &NameRef) -> Option<&'o NameRef> {
        order.at_or_before(name).map(|block| Owner::new(block).name())
    }

    fn apex() -> Name {
        "example.".parse().unwrap()
    }

    fn block(name: &NameRef) -> Block {
        Draft::default().block(name)
    }

    fn names(order: &Order) -> Vec<Name> {
        fn walk(node: &Node, out: &mut Vec<Name>) {
            match node {
                Node::Leaf(entries) => out.extend(entries.iter().map(|entry| entry.name().to_name())),
                Node::Inner(children) => children.iter().for_each(|child| {
                    let from = out.len();
                    walk(&child.node, out);
                    assert_eq!(&*out[from], child.first.name());
                }),
            }
        }
        let mut out = Vec::new();
        walk(&order.root, &mut out);
        out
    }

    /// RFC 4034 6.1.
    #[test]
    fn the_order_of_the_rfc() {
        let sorted = ["example.", "a.example.", "yljkjljk.a.example.", "Z.a.example.", "zABC.a.EXAMPLE."];
        let rest = ["z.example.", "\\001.z.example.", "*.z.example.", "\\200.z.example."];
        let sorted: Vec<Name> = sorted.iter().chain(&rest).map(|name| name.parse().unwrap()).collect();
        let order = Order::build(&apex(), sorted.iter().rev().map(|name| block(name)));
        assert_eq!(names(&order), sorted);
        let find = |text: &str| found(&order, &text.parse::<Name>().unwrap()).unwrap().to_string();
        assert_eq!(find("EXAMPLE."), "example.");
        assert_eq!(find("b.example."), "zABC.a.EXAMPLE.");
        assert_eq!(find("a.a.example."), "a.example.");
        assert_eq!(find("zz.example."), "\\200.z.example.");
    }

    #[test]
    fn before_the_first_comes_the_last() {
        let order = Order::build(
            &apex(),
            ["b.example.", "c.example."].iter().map(|name| block(&name.parse::<Name>().unwrap())),
        );
        let first: Name = "a.example.".parse().unwrap();
        assert_eq!(found(&order, &first).unwrap().to_string(), "c.example.");
        assert!(Order::build(&apex(), std::iter::empty()).at_or_before(&first).is_none());
    }

    #[test]
    fn a_change_leaves_the_copy_alone() {
        let numbered = |number: usize| -> Name { format!("name-{number:06}.example.").parse().unwrap() };
        let old = Order::build(&apex(), (0..10_000).map(|number| block(&numbered(2 * number))));
        let mut new = old.clone();
        new.remove(&numbered(100));
        new.put(&block(&numbered(101)));
        assert_eq!((old.len(), new.len()), (10_000, 10_000));
        assert_eq!(found(&old, &numbered(101)).unwrap(), &*numbered(100));
        assert_eq!(found(&new, &numbered(101)).unwrap(), &*numbered(101));
        assert_eq!(found(&new, &numbered(100)).unwrap(), &*numbered(98));
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

        /// Like a set of the standard library, whatever is put in and taken out.
        #[test]
        fn like_a_sorted_set(
            start in proptest::collection::btree_set("[a-c\\\\-]{1,3}(\\.[a-cA]{1,10}){0,3}", 0..300),
            changes in proptest::collection::vec((any::<bool>(), "[a-c\\\\-]{1,3}(\\.[a-cA]{1,10}){0,3}"), 0..600),
        ) {
            // An escape at the end may swallow the dot and lead out of the zone.
            let parse = |text: &str| -> Option<Name> {
                format!("{text}.example.").parse().ok().filter(|name: &Name| name.is_in(&apex()))
            };
            let mut set: BTreeSet<Name> = start.iter().filter_map(|text| parse(text)).collect();
            let mut order = Order::build(&apex(), set.iter().map(|name| block(name)));
            for (put, text) in &changes {
                let Some(name) = parse(text) else { continue };
                if *put {
                    order.put(&block(&name));
                    set.insert(name.clone());
                } else {
                    order.remove(&name);
                    set.remove(&name);
                }
                let found = found(&order, &name).map(NameRef::to_name);
                prop_assert_eq!(found.as_ref(), set.range::<Name, _>(..=&name).next_back().or(set.last()));
            }
            prop_assert_eq!(order.len(), set.len());
            prop_assert_eq!(names(&order), set.into_iter().collect::<Vec<_>>());
        }
    }
}
