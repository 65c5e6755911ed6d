//! Plots as SVG that stands inside a page: lines, bands, stacked areas and clouds of dots over two axes.
//!
//! **Invariants**: nothing is referred to, everything is drawn; colours are classes (`c1` to `c9`), so that the page decides them for light, dark
//! and paper. Whatever the length of a run, a line has at most [`POINTS`] points and a cloud one dot a cell ([`cloud`]).
//! **Cost**: some kilobytes a line, at most some hundred a cloud.
//! **Not here**: what is plotted (`series`), where it stands (`html`).

mod axis;

pub(super) use self::axis::{Axis, Scale, clock, number, span};

use std::collections::HashSet;
use std::fmt::Write;

use super::text::escape;

/// A line has at most so many points: two a pixel of a page on paper.
pub(super) const POINTS: usize = 600;

/// Of the drawing, in its own units; the page scales it.
const WIDTH: f64 = 960.0;
/// Left of the plot, for numbers.
const LEFT: f64 = 64.0;
/// Right of it.
const RIGHT: f64 = 14.0;
/// Above it, for what the upper axis counts.
const TOP: f64 = 18.0;
/// Above that, for each line of names of faults: at most so many, and the width of a letter.
const ROW: f64 = 12.0;
const ROWS: u8 = 3;
const LETTER: f64 = 6.0;
/// Below it, for numbers.
const BOTTOM: f64 = 38.0;

/// Cells across and down, of which each has at most one dot.
const CELLS: (f64, f64) = (320.0, 90.0);

/// A span of time in which something was disturbed.
#[derive(Clone, Debug)]
pub(super) struct Band {
    pub(super) from: f64,
    pub(super) until: f64,
    pub(super) name: String,
}

/// What is drawn of one quantity.
#[derive(Clone, Debug)]
pub(super) struct Layer {
    pub(super) name: String,
    /// 1 to 9.
    pub(super) colour: u8,
    pub(super) shape: Shape,
}

/// How.
#[derive(Clone, Debug)]
pub(super) enum Shape {
    Line(Vec<(f64, f64)>),
    /// A line that is looked at as a bound.
    Dashed(Vec<(f64, f64)>),
    /// Between two lines: x, lower, upper.
    Area(Vec<(f64, f64, f64)>),
    /// The same, to be drawn upon.
    Back(Vec<(f64, f64, f64)>),
    Dots(Vec<(f64, f64)>),
}

/// A plot.
#[derive(Clone, Debug)]
pub(super) struct Plot<'a> {
    pub(super) title: &'a str,
    /// How it is read, in a sentence or two.
    pub(super) note: &'a str,
    pub(super) height: f64,
    pub(super) x: Axis,
    pub(super) y: Axis,
    pub(super) bands: &'a [Band],
    pub(super) layers: Vec<Layer>,
}

impl Layer {
    pub(super) fn line(name: &str, colour: u8, points: Vec<(f64, f64)>) -> Self {
        Self { name: name.to_owned(), colour, shape: Shape::Line(points) }
    }

    pub(super) fn dashed(name: &str, colour: u8, points: Vec<(f64, f64)>) -> Self {
        Self { name: name.to_owned(), colour, shape: Shape::Dashed(points) }
    }

    pub(super) fn dots(name: &str, colour: u8, points: Vec<(f64, f64)>) -> Self {
        Self { name: name.to_owned(), colour, shape: Shape::Dots(points) }
    }

    /// The points of a line; none of what is none.
    pub(super) fn line_points(&self) -> impl Iterator<Item = (f64, f64)> {
        let points = match &self.shape {
            Shape::Line(points) | Shape::Dashed(points) => points.as_slice(),
            Shape::Area(_) | Shape::Back(_) | Shape::Dots(_) => &[],
        };
        points.iter().copied()
    }

    fn is_empty(&self) -> bool {
        match &self.shape {
            Shape::Line(points) | Shape::Dashed(points) | Shape::Dots(points) => points.is_empty(),
            Shape::Area(points) | Shape::Back(points) => points.is_empty(),
        }
    }
}

impl Plot<'_> {
    /// A `figure` element.
    pub(super) fn draw(&self) -> String {
        let (height, mut svg) = (self.height + self.top() + BOTTOM, String::new());
        let title = escape(self.title);
        // Writing to a string does not fail.
        write!(
            svg,
            "<figure><figcaption><b>{title}</b> <span class=note>{}</span>{}</figcaption>",
            self.note,
            self.legend()
        )
        .ok();
        if self.layers.iter().all(Layer::is_empty) {
            svg.push_str("<p class=none>Nothing of this in the run.</p></figure>");
            return svg;
        }
        write!(svg, "<svg viewBox='0 0 {WIDTH} {height}' role=img aria-label='{title}'>").ok();
        self.draw_bands(&mut svg);
        self.draw_axes(&mut svg);
        for layer in &self.layers {
            self.draw_layer(&mut svg, layer);
        }
        svg.push_str("</svg></figure>");
        svg
    }

    fn legend(&self) -> String {
        let key = |layer: &Layer| {
            let kind = match layer.shape {
                Shape::Line(_) => "kl",
                Shape::Dashed(_) => "kd",
                Shape::Area(_) => "ka",
                Shape::Back(_) => "kb",
                Shape::Dots(_) => "ko",
            };
            format!("<span class=key><i class='{kind} c{}'></i>{}</span>", layer.colour, escape(&layer.name))
        };
        let keys: String =
            self.layers.iter().filter(|layer| !layer.is_empty() && !layer.name.is_empty()).map(key).collect();
        format!("<span class=keys>{keys}</span>")
    }

    fn place(&self, (x, y): (f64, f64)) -> (f64, f64) {
        let across = self.x.share(x).clamp(0.0, 1.0) * (WIDTH - LEFT - RIGHT);
        (LEFT + across, self.top() + (1.0 - self.y.share(y).clamp(0.0, 1.0)) * self.height)
    }

    fn top(&self) -> f64 {
        TOP + f64::from(self.rows().max().map_or(0, |row| row + 1)) * ROW
    }

    /// The line of each fault's name: one that would stand on the name before goes a line down.
    fn rows(&self) -> impl Iterator<Item = u8> {
        let (mut row, mut free) = (0, 0.0);
        self.bands.iter().map(move |band| {
            let from = self.x.share(band.from).clamp(0.0, 1.0) * (WIDTH - LEFT - RIGHT);
            row = if from < free { (row + 1) % ROWS } else { 0 };
            free = from + band.name.chars().count() as f64 * LETTER;
            row
        })
    }

    fn draw_bands(&self, svg: &mut String) {
        let top = self.top();
        for (band, row) in self.bands.iter().zip(self.rows()) {
            let (from, _) = self.place((band.from, self.y.from));
            let (until, _) = self.place((band.until, self.y.from));
            let width = (until - from).max(1.5);
            let (height, y) = (self.height, TOP - 5.0 + f64::from(row + 1) * ROW);
            let (anchor, at) = if from > WIDTH * 0.8 { ("end", until) } else { ("start", from) };
            write!(
                svg,
                "<rect class=band x={from:.1} y={top} width={width:.1} height={height} />\
                 <text class=fault x={at:.1} y={y} text-anchor={anchor}>{}</text>",
                escape(&band.name)
            )
            .ok();
        }
    }

    fn draw_axes(&self, svg: &mut String) {
        let (bottom, right) = (self.top() + self.height, WIDTH - RIGHT);
        for tick in self.y.ticks() {
            let (_, y) = self.place((self.x.from, tick));
            let text = (self.y.write)(tick);
            write!(
                svg,
                "<path class=grid d='M{LEFT} {y:.1}H{right}'/><text x={:.1} y={:.1} text-anchor=end>{text}</text>",
                LEFT - 6.0,
                y + 4.0
            )
            .ok();
        }
        for tick in self.x.ticks() {
            let (x, _) = self.place((tick, self.y.from));
            let text = (self.x.write)(tick);
            write!(
                svg,
                "<path class=grid d='M{x:.1} {bottom}v4'/><text x={x:.1} y={:.1} text-anchor=middle>{text}</text>",
                bottom + 17.0
            )
            .ok();
        }
        write!(
            svg,
            "<path class=axis d='M{LEFT} {bottom}H{right}'/><text class=label x={right} y={:.1} text-anchor=end>{}</text>\
             <text class=label x=0 y=10>{}</text>",
            bottom + 33.0,
            escape(&self.x.label),
            escape(&self.y.label)
        )
        .ok();
    }

    fn draw_layer(&self, svg: &mut String, layer: &Layer) {
        let (mut path, colour) = (String::new(), layer.colour);
        let class = match &layer.shape {
            Shape::Line(points) | Shape::Dashed(points) => {
                self.trace(&mut path, points.iter().copied());
                if matches!(layer.shape, Shape::Line(_)) { "l" } else { "l dash" }
            }
            Shape::Area(points) | Shape::Back(points) => {
                self.trace(&mut path, points.iter().map(|(x, _, upper)| (*x, *upper)));
                let back = points.iter().rev().map(|(x, lower, _)| self.place((*x, *lower)));
                for (x, y) in back {
                    write!(path, "L{x:.1} {y:.1}").ok();
                }
                path.push('Z');
                if matches!(layer.shape, Shape::Area(_)) { "a" } else { "a back" }
            }
            Shape::Dots(points) => {
                for point in points {
                    let (x, y) = self.place(*point);
                    write!(path, "M{x:.1} {y:.1}h0").ok();
                }
                "d"
            }
        };
        write!(svg, "<path class='{class} c{colour}' d='{path}'/>").ok();
    }

    fn trace(&self, path: &mut String, points: impl Iterator<Item = (f64, f64)>) {
        let mut step = 'M';
        for point in points {
            let (x, y) = self.place(point);
            write!(path, "{step}{x:.1} {y:.1}").ok();
            step = 'L';
        }
    }
}

/// Areas one on the other, the first at the bottom; `rows` are x and the height of each.
pub(super) fn stack(names: &[(&str, u8)], rows: &[(f64, Vec<f64>)]) -> Vec<Layer> {
    let layer = |(index, (name, colour)): (usize, &(&str, u8))| {
        let sum = |heights: &Vec<f64>, count: usize| heights.iter().take(count).sum::<f64>();
        let points: Vec<_> =
            rows.iter().map(|(x, heights)| (*x, sum(heights, index), sum(heights, index + 1))).collect();
        let shows = points.iter().any(|(_, lower, upper)| upper > lower);
        Layer { name: (*name).to_owned(), colour: *colour, shape: Shape::Area(if shows { points } else { Vec::new() }) }
    };
    names.iter().enumerate().map(layer).collect()
}

/// `points` with at most one in each of the cells of a plot from 0 to `most`: what stands alone is kept, what stands thick is thinned.
#[expect(clippy::cast_possible_truncation, reason = "a cell is one of some hundred")]
pub(super) fn cloud(points: impl IntoIterator<Item = (f64, f64)>, most: (f64, f64)) -> Vec<(f64, f64)> {
    let mut taken = HashSet::new();
    let cell = |value: f64, most: f64, cells: f64| if most > 0.0 { (value / most * cells) as i32 } else { 0 };
    let own = |(x, y): &(f64, f64)| taken.insert((cell(*x, most.0, CELLS.0), cell(*y, most.1, CELLS.1)));
    points.into_iter().filter(own).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plot(layers: Vec<Layer>) -> String {
        let (x, y) = (Axis::clock(60.0), Axis::counts("a <second>", 1e6));
        Plot { title: "a & b", note: "", height: 100.0, x, y, bands: &[], layers }.draw()
    }

    #[test]
    fn names_are_escaped_and_an_empty_plot_says_so() {
        let drawn = plot(vec![Layer::line("<i>", 1, vec![(0.0, 1.0), (60.0, 9.0)])]);
        assert!(drawn.contains("a &amp; b") && drawn.contains("&lt;i&gt;") && drawn.contains("a &lt;second&gt;"));
        assert!(plot(vec![Layer::dots("none", 1, Vec::new())]).contains("Nothing of this"));
    }

    #[test]
    fn a_cloud_has_a_dot_a_cell_and_keeps_who_stands_alone() {
        let thick = (0..1_000_000).map(|i| (f64::from(i % 1_000), f64::from(i / 10_000)));
        let dots = cloud(thick.chain([(1_000.0, 7_000.0)]), (1_000.0, 7_000.0));
        assert!(dots.len() <= 700 && dots.contains(&(1_000.0, 7_000.0)), "{}", dots.len());
    }

    #[test]
    fn areas_stand_on_each_other() {
        let layers = stack(&[("a", 1), ("b", 2)], &[(0.0, vec![1.0, 2.0]), (1.0, vec![3.0, 4.0])]);
        let Some(Layer { shape: Shape::Area(upper), .. }) = layers.get(1) else { panic!("two areas") };
        assert_eq!(upper, &[(0.0, 1.0, 3.0), (1.0, 3.0, 7.0)]);
    }
}
