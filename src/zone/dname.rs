//! Redirection of whole subtrees (RFC 6672).

use crate::wire::name::{Name, NameRef};

/// The name that `name`, which is below `owner`, has after its DNAME (RFC 6672 2.2); `None` when it grows too long.
pub fn substitute(name: &NameRef, owner: &NameRef, target: &NameRef) -> Option<Name> {
    let kept = name.as_wire().len().checked_sub(owner.as_wire().len())?;
    Name::from_wire(&[&name.as_wire()[..kept], target.as_wire()].concat()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> Name {
        text.parse().unwrap()
    }

    #[test]
    fn labels_before_the_owner_are_kept() {
        let moved =
            |name_of: &str, target: &str| substitute(&name(name_of), &name("moved.example."), &name(target));
        assert_eq!(moved("A.b.moved.example.", "new.").unwrap().to_string(), "A.b.new.");
        assert_eq!(moved("a.moved.example.", ".").unwrap().to_string(), "a.");
        let long = format!("{0}.{0}.{0}.{1}.", "x".repeat(63), "y".repeat(60));
        assert_eq!(moved("too-long.moved.example.", &long), None);
        assert_eq!(substitute(&name("a."), &name("moved.example."), &name("new.")), None);
    }
}
