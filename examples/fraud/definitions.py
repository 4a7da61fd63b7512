"""The features of the fraud example: what is known of a card payment at the moment it is to be let through."""

from __future__ import annotations

from pathlib import Path

import skewless as sk

DESCRIPTORS = Path(__file__).with_name("payments.binpb")
"""The messages of `payments.proto` as a descriptor set."""
PROJECT = "fraud"
SERVICE = "fraud_score@1.0.0"
WINDOWS = ["1h", "24h", "7d", "30d"]
AT_ONCE = 64
"""The most payments with one card, or at one merchant, that are kept apart because they lie within two seconds."""

# --- What features are about ------------------------------------------------------------------------------

user = sk.Entity("user", keys={"user_id": "string"}, description="A cardholder")
merchant = sk.Entity("merchant", keys={"merchant_id": "string"}, description="A shop that takes cards")

# --- Where rows come from -----------------------------------------------------------------------------------

transactions = sk.StreamSource(
    "transactions",
    topic="fraud.transactions",
    payload=sk.Protobuf(DESCRIPTORS, "fraud.v1.Transaction", fields={"lat": "location.lat", "lon": "location.lon"}),
    record_key=["user_id"],
    event_time="event_time",
    columns={
        "event_time": "timestamp",
        "transaction_id": "int64 not null",
        "user_id": "string not null",
        "merchant_id": "string not null",
        "amount": "float64 not null",
        "currency": "string",
        "country": "string",
        "lat": "float64",
        "lon": "float64",
        "card_present": "bool",
    },
    description="A payment with a card; known when the terminal gets through",
)
chargebacks = sk.StreamSource(
    "chargebacks",
    topic="fraud.chargebacks",
    payload=sk.Protobuf(DESCRIPTORS, "fraud.v1.Chargeback"),
    record_key=["merchant_id"],
    event_time="event_time",
    columns={
        "event_time": "timestamp",
        "transaction_id": "int64 not null",
        "user_id": "string not null",
        "merchant_id": "string not null",
        "amount": "float64 not null",
    },
    description="A cardholder says that a payment was not his; known days after the payment",
)
users = sk.BatchSource(
    "users",
    path="users.parquet",
    columns={
        "user_id": "string not null",
        "opened_at": "timestamp",
        "home_country": "string",
        "home_lat": "float64",
        "home_lon": "float64",
        "typical_amount": "float64",
    },
)
risks = sk.BatchSource(
    "risks",
    query="""
        SELECT t.merchant_id, $as_of AS computed_at, t.payments, coalesce(c.disputed, 0) AS disputed,
               t.mean_amount, t.absent_share, (coalesce(c.disputed, 0) + 0.3) / (t.payments + 30) AS risk
        FROM (
            SELECT merchant_id, count(*) AS payments, avg(amount) AS mean_amount,
                   avg(CASE WHEN card_present THEN 0.0 ELSE 1.0 END) AS absent_share
            FROM transactions
            WHERE event_time >= $as_of - INTERVAL 30 DAYS
            GROUP BY merchant_id
        ) t
        LEFT JOIN (
            SELECT merchant_id, count(*) AS disputed
            FROM chargebacks
            WHERE event_time >= $as_of - INTERVAL 30 DAYS
            GROUP BY merchant_id
        ) c ON c.merchant_id = t.merchant_id
    """,
    inputs=[transactions, chargebacks],
    event_time="computed_at",
    columns={
        "merchant_id": "string not null",
        "computed_at": "timestamp not null",
        "payments": "int64",
        "disputed": "int64",
        "mean_amount": "float64",
        "absent_share": "float64",
        "risk": "float64",
    },
    description="Payments and disputes of the last 30 days by merchant, computed every night",
)

# --- Streaming: windows over payments -----------------------------------------------------------------------

spending = sk.StreamFeatureView(
    "spending",
    entity=user,
    source=transactions,
    head_max=AT_ONCE,
    features=[
        sk.count("payments", windows=WINDOWS),
        sk.sum("amount", "amount", windows=WINDOWS),
        sk.avg("mean_amount", "amount", windows=WINDOWS),
        sk.max("top_amount", "amount", windows=WINDOWS),
        sk.stddev("amount_spread", "amount", windows=WINDOWS),
        sk.count_distinct("merchants", "merchant_id", windows=WINDOWS, bound=60),
        sk.count_distinct("countries", "country", windows=WINDOWS, bound=20),
    ],
)
whereabouts = sk.StreamFeatureView(
    "whereabouts",
    entity=user,
    source=transactions,
    head_max=AT_ONCE,
    features=[
        sk.last("last_amount", "amount", windows=["30d"]),
        sk.last("last_merchant", "merchant_id", windows=["30d"]),
        sk.last("last_country", "country", windows=["30d"]),
        sk.last("last_lat", "lat", windows=["30d"]),
        sk.last("last_lon", "lon", windows=["30d"]),
        sk.time_since_last("since_last", windows=["30d"]),
    ],
)
takings = sk.StreamFeatureView(
    "takings",
    entity=merchant,
    source=transactions,
    head_max=AT_ONCE,
    features=[
        sk.count("payments", windows=WINDOWS),
        sk.sum("amount", "amount", windows=WINDOWS),
        sk.avg("mean_amount", "amount", windows=WINDOWS),
        sk.max("top_amount", "amount", windows=WINDOWS),
        sk.stddev("amount_spread", "amount", windows=WINDOWS),
        sk.count_distinct("countries", "country", windows=WINDOWS, bound=20),
    ],
)
disputes = sk.StreamFeatureView(
    "disputes",
    entity=merchant,
    source=chargebacks,
    features=[
        sk.count("disputes", windows=["7d", "30d"]),
        sk.sum("disputed_amount", "amount", windows=["30d"]),
        sk.time_since_last("since_dispute", windows=["30d"]),
    ],
)

# --- Static and batch: the newest row ------------------------------------------------------------------------

profile = sk.BatchFeatureView(
    "profile",
    entity=user,
    source=users,
    features=["opened_at", "home_country", "home_lat", "home_lon", "typical_amount"],
)
merchant_risk = sk.BatchFeatureView(
    "merchant_risk",
    entity=merchant,
    source=risks,
    features=["payments", "disputed", "mean_amount", "absent_share", "risk"],
)

# --- On demand: at request time ------------------------------------------------------------------------------

ZONE = "'Europe/Berlin'"

payment = sk.OnDemandFeatureView(
    "payment",
    request=sk.RequestSource(
        {"amount": "float64", "country": "string", "lat": "float64", "lon": "float64", "card_present": "bool"}
    ),
    inputs={
        "opened_at": profile["opened_at"],
        "home_country": profile["home_country"],
        "home_lat": profile["home_lat"],
        "home_lon": profile["home_lon"],
        "typical": profile["typical_amount"],
        "price": merchant_risk["mean_amount"],
    },
    features={
        "asked_amount": "amount",
        "is_card_present": "CASE WHEN card_present THEN 1 ELSE 0 END",
        "hour": f"hour(request_time(), {ZONE})",
        "weekday": f"weekday(request_time(), {ZONE})",
        "is_weekend": f"CASE WHEN is_weekend(request_time(), {ZONE}) THEN 1 ELSE 0 END",
        "account_age_days": "(request_time() - opened_at) / 86400000000.0",
        "from_home_km": "haversine_km(home_lat, home_lon, lat, lon)",
        "is_abroad": "CASE WHEN country = home_country THEN 0 ELSE 1 END",
        "to_typical": "amount / typical",
        "to_price": "amount / nullif(price, 0.0)",
    },
)
behaviour = sk.OnDemandFeatureView(
    "behaviour",
    request=sk.RequestSource({"amount": "float64", "lat": "float64", "lon": "float64"}),
    inputs={
        "usual": spending["mean_amount_30d"],
        "spread": spending["amount_spread_30d"],
        "payments_1h": spending["payments_1h"],
        "payments_24h": spending["payments_24h"],
        "last_lat": whereabouts["last_lat_30d"],
        "last_lon": whereabouts["last_lon_30d"],
        "since": whereabouts["since_last_30d"],
    },
    features={
        "deviation": "clip((amount - usual) / nullif(spread, 0.0), -5.0, 5.0)",
        "to_usual": "amount / nullif(usual, 0.0)",
        "velocity_1h": "payments_1h / 1.0",
        "velocity_24h": "payments_24h / 24.0",
        "hurry": "payments_1h / (payments_24h / 24.0)",
        "seconds_since_last": "since / 1000000.0",
        "from_last_km": "haversine_km(last_lat, last_lon, lat, lon)",
        "speed_kmh": "clip(haversine_km(last_lat, last_lon, lat, lon) / (since / 3600000000.0), 0.0, 10000.0)",
    },
)

fraud_score = sk.FeatureService(
    "fraud_score",
    features=[spending, whereabouts, takings, disputes, profile, merchant_risk, payment, behaviour],
    description="Is this payment made by a thief? Asked before it is let through",
)

project = sk.Project(PROJECT, fraud_score)
