//! A chart: horizontal bars from zero, each group on a scale of its own. What is compared may lie orders of magnitude
//! apart: then the shorter bar is a line, which is what there is to see.

use std::fmt::Write as _;

/// One bar.
pub struct Bar {
    pub label: String,
    pub value: f64,
    /// What is written behind it.
    pub text: String,
    /// The same for one contender in all groups.
    pub colour: &'static str,
}

/// A group of bars that share a scale.
pub struct Group {
    pub title: String,
    pub bars: Vec<Bar>,
}

const WIDTH: f64 = 760.0;
const LEFT: f64 = 130.0;
const RIGHT: f64 = 130.0;
const ROW: f64 = 22.0;
const THINNEST: f64 = 2.0;

/// The chart as SVG, readable on light and on dark.
pub fn svg(groups: &[Group]) -> String {
    let rows: usize = groups.iter().map(|group| group.bars.len() + 2).sum();
    let height = rows as f64 * ROW + 8.0;
    let mut text = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" font-family=\"sans-serif\" font-size=\"13\">\n\
         <rect width=\"{WIDTH}\" height=\"{height}\" fill=\"#ffffff\"/>\n"
    );
    let mut y = ROW;
    for group in groups {
        put(&mut text, 8.0, y, "font-weight=\"bold\"", &group.title);
        y += ROW;
        let most = group.bars.iter().map(|bar| bar.value).fold(f64::MIN_POSITIVE, f64::max);
        for bar in &group.bars {
            let length = ((WIDTH - LEFT - RIGHT) * bar.value / most).max(THINNEST);
            let colour = bar.colour;
            put(&mut text, 8.0, y, "", &bar.label);
            let top = y - 13.0;
            writeln!(
                text,
                "<rect x=\"{LEFT}\" y=\"{top}\" width=\"{length:.1}\" height=\"16\" rx=\"2\" fill=\"{colour}\"/>"
            )
            .ok();
            put(&mut text, LEFT + length + 6.0, y, "", &bar.text);
            y += ROW;
        }
        y += ROW;
    }
    text + "</svg>\n"
}

fn put(svg: &mut String, x: f64, y: f64, style: &str, text: &str) {
    let text = text.replace('&', "&amp;").replace('<', "&lt;");
    // Writing to a string does not fail.
    writeln!(svg, "<text x=\"{x:.1}\" y=\"{y:.1}\" fill=\"#111827\" {style}>{text}</text>").ok();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_larger_bar_is_longer_and_text_is_escaped() {
        let bar = |label: &str, value: f64| Bar {
            label: label.to_owned(),
            value,
            text: format!("{value} <"),
            colour: "#000000",
        };
        let drawn = svg(&[Group { title: "A & B".to_owned(), bars: vec![bar("a", 1.0), bar("b", 100.0)] }]);
        let widths: Vec<f64> =
            drawn.split("width=\"").skip(2).filter_map(|rest| rest.split('"').next()?.parse().ok()).collect();
        assert_eq!(widths[0] * 100.0, widths[1], "{widths:?}");
        assert!(drawn.contains("A &amp; B") && drawn.contains("1 &lt;"));
    }
}
