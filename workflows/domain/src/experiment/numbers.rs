//! The few functions of probability that experiments need, exact enough for counts up to billions.

use std::f64::consts::PI;

/// The logarithm of the gamma function, for `x > 0` (Lanczos 1964, with g = 7 and nine terms).
pub fn ln_gamma(x: f64) -> f64 {
    const COEFFICIENTS: [f64; 8] = [
        676.520_368_121_885_1,
        -1_259.139_216_722_402_8,
        771.323_428_777_653_1,
        -176.615_029_162_140_6,
        12.507_343_278_686_905,
        -0.138_571_095_265_720_12,
        9.984_369_578_019_572e-6,
        1.505_632_735_149_311_6e-7,
    ];
    if x < 0.5 {
        // The reflection formula.
        return (PI / (PI * x).sin()).ln() - ln_gamma(1.0 - x);
    }
    let x = x - 1.0;
    let mut sum = 0.999_999_999_999_809_9;
    for (coefficient, n) in COEFFICIENTS.iter().zip(1_u8..) {
        sum += coefficient / (x + f64::from(n));
    }
    let t = x + 7.5;
    0.5 * (2.0 * PI).ln() + (x + 0.5) * t.ln() - t + sum.ln()
}

/// The logarithm of the beta function, for `a` and `b` above 0.
pub fn ln_beta(a: f64, b: f64) -> f64 {
    ln_gamma(a) + ln_gamma(b) - ln_gamma(a + b)
}

/// The value below which a standard normal variable falls with probability `p`, for `0 < p < 1` (Wichura 1988, algorithm AS 241,
/// accurate to about 16 digits). Outside of that the limit: minus or plus infinity.
pub fn normal_quantile(p: f64) -> f64 {
    if p <= 0.0 {
        return f64::NEG_INFINITY;
    }
    if p >= 1.0 {
        return f64::INFINITY;
    }
    let q = p - 0.5;
    if q.abs() <= 0.425 {
        let r = 0.180_625 - q * q;
        return q * ratio(r, &CENTRE);
    }
    let r = (-if q < 0.0 { p } else { 1.0 - p }.ln()).sqrt();
    let value = if r <= 5.0 { ratio(r - 1.6, &MIDDLE) } else { ratio(r - 5.0, &TAIL) };
    if q < 0.0 { -value } else { value }
}

/// A quotient of two polynomials: the coefficients of each, the constant first.
type Quotient = ([f64; 8], [f64; 8]);

const CENTRE: Quotient = (
    [
        3.387_132_872_796_366_5,
        133.141_667_891_784_38,
        1_971.590_950_306_551_3,
        13_731.693_765_509_46,
        45_921.953_931_549_87,
        67_265.770_927_008_7,
        33_430.575_583_588_13,
        2_509.080_928_730_122_7,
    ],
    [
        1.0,
        42.313_330_701_600_91,
        687.187_007_492_057_9,
        5_394.196_021_424_751,
        21_213.794_301_586_597,
        39_307.895_800_092_71,
        28_729.085_735_721_943,
        5_226.495_278_852_545,
    ],
);
const MIDDLE: Quotient = (
    [
        1.423_437_110_749_683_5,
        4.630_337_846_156_546,
        5.769_497_221_460_691,
        3.647_848_324_763_204_5,
        1.270_458_252_452_368_4,
        0.241_780_725_177_450_6,
        0.022_723_844_989_269_184,
        7.745_450_142_783_414e-4,
    ],
    [
        1.0,
        2.053_191_626_637_759,
        1.676_384_830_183_803_8,
        0.689_767_334_985_1,
        0.148_103_976_427_480_08,
        0.015_198_666_563_616_457,
        5.475_938_084_995_345e-4,
        1.050_750_071_644_416_9e-9,
    ],
);
const TAIL: Quotient = (
    [
        6.657_904_643_501_103,
        5.463_784_911_164_114,
        1.784_826_539_917_291_3,
        0.296_560_571_828_504_87,
        0.026_532_189_526_576_124,
        0.001_242_660_947_388_078_4,
        2.711_555_568_743_487_6e-5,
        2.010_334_399_292_288_1e-7,
    ],
    [
        1.0,
        0.599_832_206_555_888,
        0.136_929_880_922_735_8,
        0.014_875_361_290_850_615,
        7.868_691_311_456_133e-4,
        1.846_318_317_510_054_8e-5,
        1.421_511_758_316_446e-7,
        2.044_263_103_389_939_8e-15,
    ],
);

fn ratio(x: f64, (above, below): &Quotient) -> f64 {
    let polynomial = |terms: &[f64; 8]| terms.iter().rev().fold(0.0, |sum, term| sum * x + term);
    polynomial(above) / polynomial(below)
}

/// The probability that a chi-square variable with `freedom` degrees of freedom (at least 1) is `x` or more.
pub fn chi_square_tail(x: f64, freedom: u32) -> f64 {
    if x <= 0.0 {
        return 1.0;
    }
    upper_gamma(f64::from(freedom.max(1)) / 2.0, x / 2.0)
}

/// The regularised upper incomplete gamma function Q(a, x): its series below `a + 1` (DLMF 8.11.4), its continued fraction above
/// (DLMF 8.9.2, by Lentz's method).
fn upper_gamma(a: f64, x: f64) -> f64 {
    const MOST_TERMS: u32 = 10_000;
    const PRECISION: f64 = 1e-15;
    let scale = (a * x.ln() - x - ln_gamma(a)).exp();
    if x < a + 1.0 {
        let (mut term, mut sum) = (1.0 / a, 1.0 / a);
        for n in 1..MOST_TERMS {
            term *= x / (a + f64::from(n));
            sum += term;
            if term < sum * PRECISION {
                break;
            }
        }
        return (1.0 - sum * scale).clamp(0.0, 1.0);
    }
    const TINY: f64 = 1e-300;
    let mut b = x + 1.0 - a;
    let mut c = 1.0 / TINY;
    let mut d = 1.0 / b;
    let mut fraction = d;
    for n in 1..MOST_TERMS {
        let n = f64::from(n);
        let an = -n * (n - a);
        b += 2.0;
        d = an * d + b;
        d = 1.0 / if d.abs() < TINY { TINY } else { d };
        c = b + an / c;
        if c.abs() < TINY {
            c = TINY;
        }
        let change = c * d;
        fraction *= change;
        if (change - 1.0).abs() < PRECISION {
            break;
        }
    }
    (scale * fraction).clamp(0.0, 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn near(given: f64, expected: f64) {
        assert!((given - expected).abs() <= 1e-9 * expected.abs().max(1.0), "{given} is not {expected}");
    }

    #[test]
    fn the_functions_give_what_tables_give() {
        near(ln_gamma(1.0), 0.0);
        near(ln_gamma(0.5), PI.sqrt().ln());
        near(ln_gamma(11.0), 3_628_800_f64.ln());
        // Stirling's series at a million.
        near(ln_gamma(1e6), 12_815_504.569_147_77);
        near(ln_beta(2.0, 3.0), (1.0_f64 / 12.0).ln());
        near(normal_quantile(0.5), 0.0);
        near(normal_quantile(0.975), 1.959_963_984_540_054);
        near(normal_quantile(0.8), 0.841_621_233_572_914_3);
        near(normal_quantile(1e-10), -6.361_340_902_404_056);
        near(normal_quantile(0.01), -2.326_347_874_040_841);
        // The usual critical values.
        near(chi_square_tail(3.841_458_820_694_124, 1), 0.05);
        near(chi_square_tail(10.827_566_170_662_733, 1), 0.001);
        near(chi_square_tail(5.991_464_547_107_979, 2), 0.05);
        near(chi_square_tail(16.918_977_604_620_448, 9), 0.05);
        near(chi_square_tail(0.0, 3), 1.0);
        assert!(chi_square_tail(1e6, 1) < 1e-300);
    }
}
