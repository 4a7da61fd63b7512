"""The features of the flights example: what is known of a flight when it is scheduled to leave New York."""

from __future__ import annotations

import skewless as sk

PROJECT = "flights"
SERVICE = "arrival_delay@1.0.0"

# --- What features are about ------------------------------------------------------------------------------

origin = sk.Entity("origin", description="An airport of New York: EWR, JFK or LGA")
carrier = sk.Entity("carrier", description="An airline by its two-letter code")
aircraft = sk.Entity("aircraft", keys={"tailnum": "string"}, description="An aircraft by its tail number")
destination = sk.Entity("destination", keys={"dest": "string"}, description="An airport by its FAA code")
route = sk.Entity("route", keys={"carrier": "string", "dest": "string"}, description="An airline flying to an airport")

# --- Where rows come from -----------------------------------------------------------------------------------

departures = sk.StreamSource(
    "departures",
    topic="flights.departures",
    record_key=["tailnum"],
    event_time="event_time",
    columns={
        "event_time": "timestamp",
        "flight_id": "int64 not null",
        "tailnum": "string",
        "carrier": "string not null",
        "origin": "string not null",
        "dest": "string not null",
        "dep_delay": "float64",
        "distance": "int64",
    },
    description="A flight leaves; known when it leaves",
)
arrivals = sk.StreamSource(
    "arrivals",
    topic="flights.arrivals",
    record_key=["tailnum"],
    event_time="event_time",
    columns={
        "event_time": "timestamp",
        "flight_id": "int64 not null",
        "tailnum": "string",
        "carrier": "string not null",
        "origin": "string not null",
        "dest": "string not null",
        "arr_delay": "float64",
        "air_time": "float64",
    },
    description="A flight arrives; known when it arrives",
)
weather_reports = sk.StreamSource(
    "weather_reports",
    topic="flights.weather",
    record_key=["origin"],
    event_time="event_time",
    columns={
        "event_time": "timestamp",
        "origin": "string not null",
        "temp": "float64",
        "wind_speed": "float64",
        "precip": "float64",
        "pressure": "float64",
        "visib": "float64",
    },
    description="The weather at an airport, by the hour",
)
planes = sk.BatchSource(
    "planes",
    path="planes.parquet",
    columns={
        "tailnum": "string not null",
        "year": "int64",
        "manufacturer": "string",
        "engines": "int64",
        "seats": "int64",
    },
)
airports = sk.BatchSource(
    "airports",
    path="airports.parquet",
    columns={"dest": "string not null", "lat": "float64", "lon": "float64", "alt": "int64"},
)
route_delays = sk.BatchSource(
    "route_delays",
    query="""
        SELECT carrier, dest, $as_of AS computed_at, count(*) AS flights,
               avg(arr_delay) AS mean_delay, avg(CAST(arr_delay > 15 AS DOUBLE)) AS late_share
        FROM arrivals
        WHERE event_time >= $as_of - INTERVAL 30 DAYS AND arr_delay IS NOT NULL
        GROUP BY carrier, dest
    """,
    inputs=[arrivals],
    event_time="computed_at",
    columns={
        "carrier": "string not null",
        "dest": "string not null",
        "computed_at": "timestamp not null",
        "flights": "int64",
        "mean_delay": "float64",
        "late_share": "float64",
    },
    description="Delays of the last 30 days by airline and destination, computed once a week",
)

# --- Streaming: windows over departures and arrivals --------------------------------------------------------

origin_departures = sk.StreamFeatureView(
    "origin_departures",
    entity=origin,
    source=departures,
    features=[
        sk.count("departures", windows=["1h", "6h", "24h", "7d"]),
        sk.avg("dep_delay", "dep_delay", windows=["1h", "6h", "24h", "7d"]),
        sk.max("worst_delay", "dep_delay", windows=["1h", "24h"]),
        sk.stddev("delay_spread", "dep_delay", windows=["24h", "7d"]),
        sk.count_distinct("destinations", "dest", windows=["6h", "24h"], bound=200),
    ],
)
carrier_departures = sk.StreamFeatureView(
    "carrier_departures",
    entity=carrier,
    source=departures,
    features=[
        sk.count("departures", windows=["1h", "24h"]),
        sk.avg("dep_delay", "dep_delay", windows=["1h", "6h", "24h", "7d"]),
        sk.stddev("delay_spread", "dep_delay", windows=["7d"]),
        sk.count_distinct("destinations", "dest", windows=["24h"], bound=200),
    ],
)
aircraft_departures = sk.StreamFeatureView(
    "aircraft_departures",
    entity=aircraft,
    source=departures,
    features=[
        sk.count("departures", windows=["24h", "7d"]),
        sk.avg("dep_delay", "dep_delay", windows=["24h", "7d"]),
        sk.last("last_delay", "dep_delay", windows=["7d"]),
        sk.last("last_dest", "dest", windows=["7d"]),
        sk.time_since_last("since_departure", windows=["7d"]),
    ],
)
origin_arrivals = sk.StreamFeatureView(
    "origin_arrivals",
    entity=origin,
    source=arrivals,
    features=[
        sk.count("arrivals", windows=["1h", "24h"]),
        sk.avg("arr_delay", "arr_delay", windows=["1h", "6h", "24h", "7d"]),
        sk.max("worst_delay", "arr_delay", windows=["6h"]),
    ],
)
carrier_arrivals = sk.StreamFeatureView(
    "carrier_arrivals",
    entity=carrier,
    source=arrivals,
    features=[
        sk.avg("arr_delay", "arr_delay", windows=["1h", "6h", "24h", "7d"]),
        sk.stddev("delay_spread", "arr_delay", windows=["7d"]),
    ],
)
aircraft_arrivals = sk.StreamFeatureView(
    "aircraft_arrivals",
    entity=aircraft,
    source=arrivals,
    features=[
        sk.last("last_delay", "arr_delay", windows=["24h", "7d"]),
        sk.avg("arr_delay", "arr_delay", windows=["24h", "7d"]),
    ],
)

# --- External, static and batch: the newest row --------------------------------------------------------------

weather = sk.LatestFeatureView(
    "weather",
    entity=origin,
    source=weather_reports,
    ttl="3h",
    features=["temp", "wind_speed", "precip", "pressure", "visib"],
)
plane = sk.BatchFeatureView(
    "plane", entity=aircraft, source=planes, features=["year", "manufacturer", "engines", "seats"]
)
airport = sk.BatchFeatureView("airport", entity=destination, source=airports, features=["lat", "lon", "alt"])
route_history = sk.BatchFeatureView(
    "route_history", entity=route, source=route_delays, features=["flights", "mean_delay", "late_share"]
)

# --- On demand: at request time ------------------------------------------------------------------------------

schedule = sk.OnDemandFeatureView(
    "schedule",
    request=sk.RequestSource({"scheduled": "timestamp", "distance": "int64"}),
    features={
        "hour": "hour(scheduled, 'America/New_York')",
        "weekday": "weekday(scheduled, 'America/New_York')",
        "is_weekend": "CASE WHEN is_weekend(scheduled, 'America/New_York') THEN 1 ELSE 0 END",
        "miles": "distance",
    },
)
pressure_now = sk.OnDemandFeatureView(
    "pressure_now",
    inputs={
        "now": origin_departures["dep_delay_1h"],
        "usual": origin_departures["dep_delay_7d"],
        "spread": origin_departures["delay_spread_7d"],
        "since": aircraft_departures["since_departure_7d"],
    },
    features={
        "deviation": "clip((now - usual) / nullif(spread, 0.0), -3.0, 3.0)",
        "minutes_since_departure": "since / 60000000.0",
    },
)

arrival_delay = sk.FeatureService(
    "arrival_delay",
    features=[
        origin_departures,
        carrier_departures,
        aircraft_departures,
        origin_arrivals,
        carrier_arrivals,
        aircraft_arrivals,
        weather,
        plane,
        airport,
        route_history,
        schedule,
        pressure_now,
    ],
    description="Will a flight arrive more than 15 minutes late? Asked when it is scheduled to leave",
)

project = sk.Project(PROJECT, arrival_delay)
