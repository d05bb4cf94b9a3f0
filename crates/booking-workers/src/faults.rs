//! Faults that tests ask for, to see what becomes of them. Without the feature `faults` nothing of this is in a build, and
//! no build with it is for anybody but tests.

/// Whether this fault is asked for here, by the name of what is at hand: `FAULT-once` has it happen one time,
/// `FAULT-always` each time.
#[cfg(feature = "faults")]
pub fn is_asked_for(fault: &str, name: impl FnOnce() -> String) -> bool {
    use std::cell::RefCell;
    use std::collections::BTreeSet;
    thread_local! {
        static DONE: RefCell<BTreeSet<String>> = const { RefCell::new(BTreeSet::new()) };
    }
    let name = name();
    let is_first = || DONE.with_borrow_mut(|done| done.insert(format!("{fault} {name}")));
    name.contains(&format!("{fault}-always")) || name.contains(&format!("{fault}-once")) && is_first()
}

/// Whether this fault is asked for here: never, in a build without the feature.
#[cfg(not(feature = "faults"))]
#[must_use]
pub fn is_asked_for(_: &str, _: impl FnOnce() -> String) -> bool {
    false
}

/// Throws what the platform throws for an object that it does not let answer, with this property, where that is asked for.
///
/// # Errors
/// What is thrown.
pub fn may_throw(property: &str, name: &str) -> Result<(), wasm_bindgen::JsValue> {
    if is_asked_for(property, || name.to_owned()) {
        let error = js_sys::Error::new("a test has asked for it");
        js_sys::Reflect::set(&error, &property.into(), &true.into())?;
        return Err(error.into());
    }
    Ok(())
}

/// Panics, where that is asked for.
///
/// # Panics
/// Where a test asks for it.
#[allow(clippy::panic, reason = "it is what this is for")]
pub fn may_panic(fault: &str, name: impl FnOnce() -> String) {
    if is_asked_for(fault, name) {
        panic!("a test has asked for it");
    }
}
