//! Wrong answers, to be planted in a history that is right: what a faulty host would have told. The checker must find each.

use super::checker::Operation;
use super::seat::{Ask, Said, Status};

/// A history with one answer that contradicts another; `None` where there are no two to do that with.
pub type Lie = fn(&[Operation]) -> Option<Vec<Operation>>;

/// Every kind of wrong answer, by name.
pub const LIES: [(&str, Lie); 3] = [
    ("two buyers are shown different things at one version", seen_otherwise),
    ("a hold is given on a ticket that is sold", given_twice),
    ("a version is lower than one that was answered before", goes_back),
];

fn looks(history: &[Operation]) -> impl Iterator<Item = (usize, u64, Status)> {
    history.iter().enumerate().filter_map(|(index, operation)| match operation {
        Operation { ask: Ask::Get { status, .. }, said: Said::Yes, version: Some(version), .. } => {
            Some((index, *version, *status))
        }
        _ => None,
    })
}

fn seen_otherwise(history: &[Operation]) -> Option<Vec<Operation>> {
    let sold = |(_, _, status): &(usize, u64, Status)| *status == Status::Sold;
    let (liar, version, _) = looks(history).filter(sold).last()?;
    looks(history).filter(sold).find(|(index, at, _)| *index != liar && *at == version)?;
    let mut lie = history.to_vec();
    lie[liar].ask = Ask::Get { status: Status::Available, by: None };
    Some(lie)
}

fn given_twice(history: &[Operation]) -> Option<Vec<Operation>> {
    let is_sold = |version| looks(history).any(|(_, at, status)| status == Status::Sold && at == version);
    let liar = history.iter().position(|operation| {
        let is_refused = matches!((&operation.ask, operation.said), (Ask::Reserve { .. }, Said::No(_)));
        is_refused && operation.version.is_some_and(is_sold)
    })?;
    let mut lie = history.to_vec();
    lie[liar].said = Said::Yes;
    Some(lie)
}

fn goes_back(history: &[Operation]) -> Option<Vec<Operation>> {
    let (liar, version, _) = looks(history).last().filter(|(_, version, _)| *version > 0)?;
    let earlier = |operation: &Operation| operation.answered.is_some_and(|answered| answered < history[liar].asked);
    history.iter().find(|operation| operation.version == Some(version) && earlier(operation))?;
    let mut lie = history.to_vec();
    lie[liar].version = Some(version - 1);
    Some(lie)
}
