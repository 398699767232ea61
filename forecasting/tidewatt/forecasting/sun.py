"""Where the sun stands, and what a cloudless sky would send down: pure geometry, no network, no table."""

import numpy as np

from tidewatt.forecasting.series import Intensities, Milliseconds

DAY_MS = 86_400_000
J2000_MS = 946_728_000_000  # 2000-01-01 12:00 UTC, from which the almanac counts its days


def elevation_deg(latitude: float, longitude: float, time_ms: Milliseconds) -> Intensities:
    """Elevation of the sun's centre above the horizon at each Unix millisecond: (n,) degrees, -90 to 90.

    The Astronomical Almanac's approximate position as given by Michalsky, Solar Energy 40 (1988) 227-235:
    within 0.01 degrees from 1950 to 2050. Geometric: refraction (0.5 degrees at the horizon, nothing that
    counts above 10) and parallax are left out. Latitude north and longitude east are positive, in degrees.
    """
    days = (np.asarray(time_ms, np.int64) - J2000_MS) / DAY_MS
    anomaly = np.radians(357.528 + 0.9856003 * days)
    mean_longitude = 280.460 + 0.9856474 * days
    ecliptic = np.radians(mean_longitude + 1.915 * np.sin(anomaly) + 0.020 * np.sin(2 * anomaly))
    obliquity = np.radians(23.439 - 4e-7 * days)
    right_ascension = np.arctan2(np.cos(obliquity) * np.sin(ecliptic), np.cos(ecliptic))
    declination = np.arcsin(np.sin(obliquity) * np.sin(ecliptic))
    # Greenwich sidereal time: 6.697375 h + 0.0657098242 h a day + the hour, which is 12 at whole days.
    sidereal = np.radians(15 * (18.697375 + 24.0657098242 * days) + longitude)
    across = np.cos(np.radians(latitude)) * np.cos(declination) * np.cos(sidereal - right_ascension)
    height = np.sin(np.radians(latitude)) * np.sin(declination) + across
    return np.asarray(np.degrees(np.arcsin(np.clip(height, -1, 1))), float)


def clear_sky_w_m2(latitude: float, longitude: float, time_ms: Milliseconds) -> Intensities:
    """Global horizontal irradiance under a cloudless sky at each Unix millisecond: (n,) W/m2, 0 at night.

    Haurwitz, Journal of Meteorology 2 (1945) 154-166, with the constants in Reno, Hansen and Stein, Sandia
    report SAND2012-2389: 1098 cos(z) exp(-0.057 / cos(z)). It knows the zenith angle only: neither height,
    haze nor water vapour.
    """
    height = np.sin(np.radians(elevation_deg(latitude, longitude, time_ms)))
    up = np.maximum(height, 1e-6)
    return np.where(height > 0, 1098 * up * np.exp(-0.057 / up), 0.0)
