//! Takes a Worker from its addresses, and puts it back: what wrangler has no command for. What it has stored stays.

use release::manifest::Environment;
use xtask::run::{Outcome, say};

use crate::account::{Account, Subdomain};
use crate::plan::CheckoutProgress;
use crate::tell;

/// Takes it from every address. Its objects continue: a checkout under way comes to its end.
///
/// # Errors
/// What could not be taken away. A repeat takes away the rest.
pub(crate) fn off(account: &Account, wanted: &Environment) -> Outcome {
    let name = &wanted.name;
    if !CheckoutProgress::of(account, name)?.0.is_there {
        return Err(format!("{name} is not there"));
    }
    for domain in account.domains()?.into_iter().filter(|domain| domain.service == *name) {
        account.detach_domain(&domain)?;
        say(&format!("detached {}", domain.hostname));
    }
    for (zone, route) in account.routes_of(name)? {
        account.remove_route(&zone, &route)?;
        say(&format!("took away the route {}", route.pattern));
    }
    let is = account.subdomain(name)?;
    if is.enabled || is.previews_enabled {
        account.set_subdomain(name, Subdomain { enabled: false, previews_enabled: false })?;
        say("took away its addresses under workers.dev");
    }
    say(&format!("{name} has no address. `cargo xtask release on` gives them back"));
    Ok(())
}

/// Puts it back to the addresses that `wrangler.toml` names.
///
/// # Errors
/// What could not be put back. A repeat puts back the rest.
pub(crate) fn on(account: &Account, wanted: &Environment) -> Outcome {
    let name = &wanted.name;
    if !CheckoutProgress::of(account, name)?.0.is_there {
        return Err(format!("{name} is not there: `cargo xtask release deploy` makes it"));
    }
    let domains = account.domains()?;
    for hostname in &wanted.domains {
        match domains.iter().find(|one| one.hostname == *hostname) {
            Some(one) if one.service == *name => continue,
            Some(one) => return Err(format!("{hostname} is of the Worker {}: detach it there first", one.service)),
            None if account.has_record(hostname)?.unwrap_or(true) => {
                let unseen = "or it cannot be seen whether it has: a token with DNS · Read can";
                return Err(format!("{hostname} has a DNS record that is not a Worker's: delete it first, {unseen}"));
            }
            None => account.attach_domain(hostname, name)?,
        }
        say(&format!("attached {hostname}"));
    }
    for (pattern, zone) in &wanted.routes {
        let (id, routes) = account.routes(zone)?;
        match routes.iter().find(|route| route.pattern == *pattern) {
            Some(route) if route.script.as_ref() == Some(name) => continue,
            Some(route) => {
                let script = route.script.as_deref().unwrap_or("none");
                return Err(format!("route {pattern} is of the Worker {script}: take it away there first"));
            }
            None => account.add_route(&id, pattern, name)?,
        }
        say(&format!("added the route {pattern}"));
    }
    let is = account.subdomain(name)?;
    let previews_enabled = wanted.preview_urls.unwrap_or(is.previews_enabled);
    let to_be = Subdomain { enabled: wanted.workers_dev, previews_enabled };
    if (is.enabled, is.previews_enabled) != (to_be.enabled, to_be.previews_enabled) {
        account.set_subdomain(name, to_be)?;
        say("its addresses under workers.dev are as wrangler.toml has them");
    }
    say(&format!("{name} is back"));
    Ok(())
}

/// The addresses under which the whole Worker answers now, its domains first.
///
/// # Errors
/// Cloudflare does not tell.
pub(crate) fn addresses(account: &Account, name: &str) -> Outcome<Vec<String>> {
    let domains = account.domains()?.into_iter().filter(|one| one.service == *name);
    let mut addresses: Vec<String> = domains.map(|one| format!("https://{}", one.hostname)).collect();
    if account.subdomain(name)?.enabled {
        addresses.push(account.address(name)?);
    }
    Ok(addresses)
}

/// Tells what answers, since when, and where.
///
/// # Errors
/// Cloudflare does not tell.
pub(crate) fn status(account: &Account, wanted: &Environment) -> Outcome {
    let name = &wanted.name;
    let (running, _) = CheckoutProgress::of(account, name)?;
    if !running.is_there {
        tell(&format!("{name} is not there"));
        return Ok(());
    }
    for (at, deployment) in running.deployments.iter().take(5).enumerate() {
        let shares: Vec<String> = deployment
            .versions
            .iter()
            .map(|share| {
                let release = running.release_of(&share.version_id).unwrap_or("no release");
                format!("{release} ({}) {} %", share.version_id, share.percentage)
            })
            .collect();
        let when = if at == 0 { "now, since" } else { "before, from" };
        tell(&format!("{when} {}: {}", deployment.created_on, shares.join(", ")));
    }
    tell(&format!("migration: {}", running.migration.as_deref().unwrap_or("none")));
    let mut addresses = addresses(account, name)?;
    addresses.extend(account.routes_of(name)?.into_iter().map(|(_, route)| route.pattern));
    if account.subdomain(name)?.previews_enabled {
        addresses.push("each version's own".to_owned());
    }
    let addresses = if addresses.is_empty() { "none: it is off".to_owned() } else { addresses.join(", ") };
    tell(&format!("addresses: {addresses}"));
    Ok(())
}
