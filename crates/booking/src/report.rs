//! What came of a load, for people: on the terminal, and as a page.

use std::fmt::Write as _;
use std::io::{self, Write};
use std::time::Duration;

use crate::load::{BOOKED, Loaded, Wanted, percentile};

/// How wide and how high the picture of a load is.
const PICTURE: (usize, usize) = (800, 160);

fn wanted(wanted: Wanted) -> &'static str {
    match wanted {
        Wanted::Fifty => "any of fifty seats",
        Wanted::Distinct => "each a seat of its own",
    }
}

/// Milliseconds, with one digit behind the point.
fn millis(time: Duration) -> String {
    format!("{}.{}", time.as_millis(), time.as_micros() / 100 % 10)
}

/// One line a kind of answer: what, how many, how many a second, and how long they took.
fn rows(loaded: &Loaded) -> Vec<[String; 7]> {
    let row = |what: &str, filter: Option<&str>| {
        let took = loaded.took(filter);
        let [half, most, nearly_all] = [50, 90, 99].map(|percent| millis(percentile(&took, percent)));
        let slowest = millis(took.last().copied().unwrap_or_default());
        [what.to_owned(), took.len().to_string(), loaded.rate(loaded.in_time(filter)), half, most, nearly_all, slowest]
    };
    let kinds = loaded.kinds();
    let mut rows: Vec<_> = kinds.keys().map(|kind| row(kind, Some(kind))).collect();
    rows.push(row("all", None));
    rows
}

const HEAD: [&str; 7] = ["answer", "how many", "a second", "p50 ms", "p90 ms", "p99 ms", "slowest ms"];

/// # Errors
/// Standard output cannot be written to.
pub(crate) fn text(loaded: &Loaded) -> io::Result<()> {
    let mut out = io::stdout();
    writeln!(out, "{}: {} buyers, {}, {:.1?}", loaded.url, loaded.clients, wanted(loaded.wanted), loaded.lasted)?;
    let line = |row: &[&str]| {
        let mut line = format!("{:<28}", row[0]);
        row[1..].iter().for_each(|cell| line.push_str(&format!("{cell:>11}")));
        line
    };
    writeln!(out, "{}", line(&HEAD))?;
    for row in rows(loaded) {
        writeln!(out, "{}", line(&row.each_ref().map(String::as_str)))?;
    }
    if loaded.in_time(Some(BOOKED)) == 0 && loaded.kinds().contains_key(BOOKED) {
        writeln!(out, "no booking ended within the time: give it a longer --duration")?;
    }
    if let Some(why) = &loaded.no_answer {
        writeln!(out, "the first that had no answer: {why}")?;
    }
    Ok(())
}

/// The same as a page, with what came in each second.
///
/// # Errors
/// The file cannot be written.
pub(crate) fn page(loaded: &Loaded, mut file: impl Write) -> io::Result<()> {
    let escaped = |text: &str| text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    let cells = |row: &[&str], cell: &str| {
        row.iter().map(|text| format!("<{cell}>{}</{cell}>", escaped(text))).collect::<String>()
    };
    let rows: String = rows(loaded)
        .iter()
        .map(|row| format!("<tr>{}</tr>\n", cells(&row.each_ref().map(String::as_str), "td")))
        .collect();
    write!(
        file,
        "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n<title>A load of {clients} buyers</title>\n\
         <style>body{{font:16px/1.4 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}}\
         table{{border-collapse:collapse}}th,td{{padding:.2rem .8rem;text-align:right;border-bottom:1px solid #ccc}}\
         th:first-child,td:first-child{{text-align:left}}svg{{width:100%;height:10rem;background:#f6f6f6}}</style>\n\
         <h1>A load of {clients} buyers</h1>\n<p>{url}: {wanted}, {lasted:.1?}</p>\n\
         <table><thead><tr>{head}</tr></thead><tbody>\n{rows}</tbody></table>\n\
         <h2>Answers in each second</h2>\n{picture}\n<p>Grey: all answers. Blue: bookings. The highest bar is {most} answers.</p>\n</html>\n",
        clients = loaded.clients,
        url = escaped(&loaded.url),
        wanted = wanted(loaded.wanted),
        lasted = loaded.lasted,
        head = cells(&HEAD, "th"),
        picture = picture(loaded),
        most = by_second(loaded).iter().map(|(all, _)| *all).max().unwrap_or_default(),
    )
}

/// How many answers came in each second, and how many of them were bookings.
fn by_second(loaded: &Loaded) -> Vec<(usize, usize)> {
    let mut seconds = Vec::new();
    for seen in &loaded.seen {
        let second = usize::try_from(seen.at.as_secs()).unwrap_or(usize::MAX).min(100_000);
        if seconds.len() <= second {
            seconds.resize(second + 1, (0, 0));
        }
        if let Some((all, booked)) = seconds.get_mut(second) {
            *all += 1;
            *booked += usize::from(seen.what == BOOKED);
        }
    }
    seconds
}

fn picture(loaded: &Loaded) -> String {
    let (seconds, (width, height)) = (by_second(loaded), PICTURE);
    let most = seconds.iter().map(|(all, _)| *all).max().unwrap_or_default().max(1);
    // A bar is a thousandth of a unit wide at least.
    let bar = (width * 1_000 / seconds.len().max(1)).max(1);
    let mut svg = format!(
        "<svg viewBox=\"0 0 {} {height}\" preserveAspectRatio=\"none\" role=\"img\" aria-label=\"answers in each second\">",
        width * 1_000
    );
    for (second, (all, booked)) in seconds.iter().enumerate() {
        for (count, colour) in [(all, "#bbb"), (booked, "#2563eb")] {
            let high = count * height / most;
            let _infallible = write!(
                svg,
                "<rect x=\"{}\" y=\"{}\" width=\"{bar}\" height=\"{high}\" fill=\"{colour}\"/>",
                second * bar,
                height - high
            );
        }
    }
    svg + "</svg>"
}
