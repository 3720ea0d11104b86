//! A line chart as SVG: axes, grid, legend, lines. It knows no report.

use std::fmt::Write as _;

/// Size of a chart in pixels, and of its margins.
pub(super) const WIDTH: f64 = 760.0;
pub(super) const HEIGHT: f64 = 340.0;
const LEFT: f64 = 80.0;
const RIGHT: f64 = 36.0;
const TOP: f64 = 40.0;
const BOTTOM: f64 = 50.0;
const LEGEND_LINE: f64 = 16.0;

/// Colours that the colour-blind tell apart (Okabe and Ito).
const COLOURS: [&str; 7] = [
    "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000",
];

/// A line.
pub(super) struct Line {
    pub(super) name: String,
    /// Which server's: the same colour for all of its lines.
    pub(super) colour: usize,
    pub(super) dashed: bool,
    pub(super) points: Vec<(f64, f64)>,
}

/// How values lie on an axis.
pub(super) enum Scale {
    /// Evenly from zero.
    Linear,
    /// By their logarithm.
    Logarithmic,
    /// At given places, each with its label.
    Places(Vec<(f64, String)>),
}

pub(super) struct Chart {
    pub(super) title: String,
    pub(super) x_label: String,
    pub(super) x: Scale,
    pub(super) y: Scale,
    /// How a value of the y axis is written.
    pub(super) show: fn(f64) -> String,
    pub(super) lines: Vec<Line>,
}

/// An axis: from values to places between 0 and 1, and where values are written.
struct Axis {
    low: f64,
    high: f64,
    logarithmic: bool,
    ticks: Vec<(f64, String)>,
}

impl Axis {
    fn new(scale: &Scale, values: &[f64], show: fn(f64) -> String) -> Self {
        let most = values.iter().copied().fold(0.0, f64::max);
        match scale {
            Scale::Linear => {
                let high = if most > 0.0 { most } else { 1.0 };
                // The 1, 2 or 5 times a power of ten that gives four to ten ticks.
                let raw = high / 5.0;
                let power = 10_f64.powf(raw.log10().floor());
                let step = [1.0, 2.0, 5.0, 10.0].map(|it| it * power);
                let step = step.into_iter().find(|it| *it >= raw).unwrap_or(raw);
                let count = (high / step).ceil() as usize;
                let ticks = (0..=count).map(|n| n as f64 * step);
                Self {
                    low: 0.0,
                    high: count as f64 * step,
                    logarithmic: false,
                    ticks: ticks.map(|it| (it, show(it))).collect(),
                }
            }
            Scale::Logarithmic => {
                let positive = values.iter().copied().filter(|it| *it > 0.0);
                let least = positive.fold(f64::INFINITY, f64::min);
                let (least, most) = match least.is_finite() {
                    true => (least, most),
                    false => (1.0, 10.0),
                };
                let low = least.log10().floor() as i32;
                let high = (most.log10().ceil() as i32).max(low + 1);
                let ticks = (low..=high).map(|power| 10_f64.powi(power));
                Self {
                    low: 10_f64.powi(low),
                    high: 10_f64.powi(high),
                    logarithmic: true,
                    ticks: ticks.map(|it| (it, show(it))).collect(),
                }
            }
            Scale::Places(ticks) => {
                let places = || ticks.iter().map(|(place, _)| *place);
                let low = places().fold(f64::INFINITY, f64::min);
                Self {
                    low,
                    high: places().fold(low + 1e-9, f64::max),
                    logarithmic: false,
                    ticks: ticks.clone(),
                }
            }
        }
    }

    fn place(&self, value: f64) -> f64 {
        let place = match self.logarithmic {
            true => (value.max(self.low) / self.low).ln() / (self.high / self.low).ln(),
            false => (value - self.low) / (self.high - self.low),
        };
        place.clamp(0.0, 1.0)
    }
}

impl Chart {
    /// An `svg` element, `at` pixels below the top of what it stands in, of [`Chart::height`].
    pub(super) fn svg(&self, at: f64) -> String {
        let values = |of: fn(&(f64, f64)) -> f64| -> Vec<f64> {
            let points = self.lines.iter().flat_map(|line| &line.points);
            points.map(of).collect()
        };
        let x = Axis::new(&self.x, &values(|(x, _)| *x), |value| format!("{value}"));
        let y = Axis::new(&self.y, &values(|(_, y)| *y), self.show);
        let x_of = |value| LEFT + x.place(value) * (WIDTH - LEFT - RIGHT);
        let y_of = |value| HEIGHT - BOTTOM - y.place(value) * (HEIGHT - TOP - BOTTOM);
        let height = self.height();
        let mut svg = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" y=\"{at}\" width=\"{WIDTH}\" height=\"{height}\" viewBox=\"0 0 {WIDTH} {height}\" \
             font-family=\"sans-serif\" font-size=\"12\">\n<rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n\
             <text x=\"{LEFT}\" y=\"22\" font-size=\"15\" font-weight=\"bold\">{}</text>\n",
            escaped(&self.title)
        );
        let mut put = |text: String| svg.push_str(&text);
        for (value, label) in &y.ticks {
            let at = y_of(*value);
            put(format!(
                "<path d=\"M{LEFT} {at:.1}H{:.1}\" stroke=\"#ddd\"/><text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>\n",
                WIDTH - RIGHT,
                LEFT - 6.0,
                at + 4.0,
                escaped(label)
            ));
        }
        for (value, label) in &x.ticks {
            let at = x_of(*value);
            put(format!(
                "<path d=\"M{at:.1} {TOP}V{:.1}\" stroke=\"#eee\"/><text x=\"{at:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text>\n",
                HEIGHT - BOTTOM,
                HEIGHT - BOTTOM + 18.0,
                escaped(label)
            ));
        }
        put(format!(
            "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text>\n",
            f64::midpoint(LEFT, WIDTH - RIGHT),
            HEIGHT - BOTTOM + 36.0,
            escaped(&self.x_label)
        ));
        for (nth, line) in self.lines.iter().enumerate() {
            let colour = COLOURS[line.colour % COLOURS.len()];
            let dash = if line.dashed {
                " stroke-dasharray=\"5 4\""
            } else {
                ""
            };
            let mut path = String::new();
            for (n, (x, y)) in line.points.iter().enumerate() {
                let command = if n == 0 { 'M' } else { 'L' };
                write!(path, "{command}{:.1} {:.1}", x_of(*x), y_of(*y))
                    .expect("a text takes everything");
            }
            let legend = HEIGHT + nth as f64 * LEGEND_LINE;
            put(format!(
                "<path d=\"{path}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"{dash}/>\
                 <path d=\"M{LEFT} {:.1}h30\" stroke=\"{colour}\" stroke-width=\"2\"{dash}/>\
                 <text x=\"{:.1}\" y=\"{legend:.1}\">{}</text>\n",
                legend - 4.0,
                LEFT + 38.0,
                escaped(&line.name)
            ));
        }
        svg + "</svg>\n"
    }

    /// Its height in pixels, with the legend.
    pub(super) fn height(&self) -> f64 {
        HEIGHT + self.lines.len() as f64 * LEGEND_LINE
    }
}

/// A picture of charts, one below the other.
pub(super) fn stacked(charts: &[Chart]) -> String {
    let height: f64 = charts.iter().map(Chart::height).sum::<f64>() + 30.0;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{WIDTH}\" height=\"{height}\" viewBox=\"0 0 {WIDTH} {height}\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n"
    );
    let mut at = 0.0;
    for chart in charts {
        svg += &chart.svg(at);
        at += chart.height() + 10.0;
    }
    svg + "</svg>\n"
}

/// Text in XML and HTML.
pub(super) fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}
