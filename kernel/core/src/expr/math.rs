//! Mathematical functions with the same bits on every machine.
//!
//! Everything beyond IEEE 754's own operations comes from the pinned crate `libm`; the platform's library and
//! the standard methods that call it are refused by clippy (`disallowed-methods` in `clippy.toml`).
//! A result that does not exist (domain, overflow) is NaN or infinite here; the evaluator makes it null.

/// The mean radius of the Earth in kilometres (IUGG).
pub const EARTH_RADIUS_KM: f64 = 6371.0088;

/// The double nearest to π / 180.
const RADIANS_PER_DEGREE: f64 = 0.017_453_292_519_943_295;

/// The square root, exactly rounded (an operation of IEEE 754).
pub fn sqrt(x: f64) -> f64 {
    x.sqrt()
}

/// The natural logarithm.
pub fn ln(x: f64) -> f64 {
    libm::log(x)
}

/// e to the power x.
pub fn exp(x: f64) -> f64 {
    libm::exp(x)
}

/// x to the power y.
pub fn pow(x: f64, y: f64) -> f64 {
    libm::pow(x, y)
}

/// The sine of an angle in radians.
pub fn sin(x: f64) -> f64 {
    libm::sin(x)
}

/// The cosine of an angle in radians.
pub fn cos(x: f64) -> f64 {
    libm::cos(x)
}

/// The tangent of an angle in radians.
pub fn tan(x: f64) -> f64 {
    libm::tan(x)
}

/// The angle in radians whose sine is x.
pub fn asin(x: f64) -> f64 {
    libm::asin(x)
}

/// The angle in radians whose cosine is x.
pub fn acos(x: f64) -> f64 {
    libm::acos(x)
}

/// The angle in radians whose tangent is x.
pub fn atan(x: f64) -> f64 {
    libm::atan(x)
}

/// The angle in radians of the point (x, y), in (−π, π].
pub fn atan2(y: f64, x: f64) -> f64 {
    libm::atan2(y, x)
}

/// The great-circle distance in kilometres between two points in degrees, by the haversine formula.
///
/// NaN for a latitude beyond ±90; longitudes may wrap around.
pub fn haversine_km(lat1: f64, lon1: f64, lat2: f64, lon2: f64) -> f64 {
    if lat1.abs() > 90.0 || lat2.abs() > 90.0 {
        return f64::NAN;
    }
    let half_lat = sin((lat2 - lat1) * RADIANS_PER_DEGREE / 2.0);
    let half_lon = sin((lon2 - lon1) * RADIANS_PER_DEGREE / 2.0);
    let a = half_lat * half_lat
        + cos(lat1 * RADIANS_PER_DEGREE) * cos(lat2 * RADIANS_PER_DEGREE) * half_lon * half_lon;
    // Rounding may lift the sum a little above one at antipodes.
    2.0 * EARTH_RADIUS_KM * asin(a.min(1.0).sqrt())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The bits of one point of each function: a new version of the crate that moves a value must not pass.
    #[test]
    fn transcendentals_keep_their_bits() {
        let points = [
            ("ln", ln(0.1), 0xc002_6bb1_bbb5_5515),
            ("exp", exp(1.5), 0x4011_ed3f_e64f_c541),
            ("pow", pow(1.1, 10.5), 0x4005_c341_a3d4_0f19),
            ("sin", sin(1e10), 0xbfdf_334c_7896_a4e3),
            ("cos", cos(1e10), 0x3feb_f098_901c_931a),
            ("tan", tan(1.57), 0x4093_9f0f_f737_e7f3),
            ("asin", asin(0.7), 0x3fe8_d00e_692a_fd95),
            ("acos", acos(0.7), 0x3fe9_73e8_3f5d_5c9b),
            ("atan", atan(0.7), 0x3fe3_8b11_2d7b_d4ad),
            ("atan2", atan2(-1.0, -2.0), 0xc005_6c6e_7397_f5ae),
        ];
        let moved: Vec<String> = points
            .iter()
            .filter(|(_, value, bits)| value.to_bits() != *bits)
            .map(|(name, value, _)| format!("{name} {value} {:#018x}", value.to_bits()))
            .collect();
        assert!(moved.is_empty(), "{moved:#?}");
    }

    #[test]
    fn distances_are_those_of_the_sphere() {
        let close = |a: f64, b: f64| (a - b).abs() < 1e-6;
        assert!(close(haversine_km(40.0, -73.0, 40.0, -73.0), 0.0));
        assert!(close(
            haversine_km(0.0, 0.0, 0.0, 180.0),
            std::f64::consts::PI * EARTH_RADIUS_KM
        ));
        assert!(close(
            haversine_km(90.0, 12.0, -90.0, 55.0),
            std::f64::consts::PI * EARTH_RADIUS_KM
        ));
        assert!(close(haversine_km(10.0, 179.0, 10.0, -181.0), 0.0));
        assert!(haversine_km(90.5, 0.0, 0.0, 0.0).is_nan());
    }
}
