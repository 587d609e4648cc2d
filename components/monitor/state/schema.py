"""The tables of the monitor's database.

`answers` and `labels` are what was read. All other tables follow from them: `truths` from `labels`,
and windows from all. A window whose answers or labels change loses its row, in the transaction that
changes them, and is computed again; so a run that was killed leaves nothing half done.
"""

VERSION = 3
"""Of the tables, `PRAGMA user_version`: a release that changes them adds a step to `MIGRATIONS`."""

MIGRATIONS: tuple[str, ...] = (
    # From an empty file to version 1.
    """
    CREATE TABLE settings (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;

    CREATE TABLE files (digest TEXT PRIMARY KEY) WITHOUT ROWID;  -- need not be read again

    CREATE TABLE answers (
        id INTEGER PRIMARY KEY,  -- rises as they come
        version TEXT NOT NULL,
        image_id TEXT NOT NULL,
        key TEXT,
        time REAL NOT NULL,  -- seconds since 1970
        label TEXT NOT NULL,
        label_index INTEGER NOT NULL,
        probabilities BLOB NOT NULL,  -- float32
        confidence REAL NOT NULL,
        entropy REAL NOT NULL,
        columns TEXT NOT NULL,  -- JSON, to slice by
        file_format TEXT,
        height REAL, width REAL, brightness REAL, contrast REAL, sharpness REAL,
        window INTEGER,  -- of time: when it begins; of N photographs: which one, from 0
        counted INTEGER,  -- 0: the same photograph has been counted in this window
        UNIQUE (image_id, version, time)
    );
    CREATE INDEX answers_by_window ON answers (version, window);
    CREATE INDEX answers_by_key ON answers (key) WHERE key IS NOT NULL;

    CREATE TABLE labels (
        "by" TEXT NOT NULL,  -- image_id or key
        name TEXT NOT NULL,
        source TEXT NOT NULL,  -- the table that has it
        label TEXT NOT NULL,
        labelled_at REAL,  -- as the table says
        seen REAL NOT NULL,  -- when it was first read
        columns TEXT NOT NULL,
        PRIMARY KEY ("by", name, source, label)
    ) WITHOUT ROWID;

    CREATE TABLE truths (  -- what all tables together say of a photograph
        "by" TEXT NOT NULL,
        name TEXT NOT NULL,
        label TEXT,  -- NULL: they contradict each other, and none is the newest
        conflicting INTEGER NOT NULL,
        known REAL NOT NULL,  -- since when the label is known
        columns TEXT NOT NULL,
        PRIMARY KEY ("by", name)
    ) WITHOUT ROWID;

    CREATE TABLE windows (
        version TEXT NOT NULL,
        window INTEGER NOT NULL,
        figures TEXT NOT NULL,  -- JSON
        tested INTEGER NOT NULL DEFAULT 0,  -- whether its alarms have been computed
        PRIMARY KEY (version, window)
    ) WITHOUT ROWID;

    CREATE TABLE metrics (
        version TEXT NOT NULL,
        window INTEGER NOT NULL,
        slice TEXT NOT NULL,  -- JSON: value by column; {} is all photographs
        metric TEXT NOT NULL,
        value REAL,
        low REAL,
        high REAL,
        count INTEGER NOT NULL,
        PRIMARY KEY (version, slice, metric, window),
        FOREIGN KEY (version, window) REFERENCES windows ON DELETE CASCADE
    ) WITHOUT ROWID;
    CREATE INDEX metrics_by_window ON metrics (version, window);

    CREATE TABLE shares (
        version TEXT NOT NULL,
        window INTEGER NOT NULL,
        test TEXT NOT NULL,
        hits INTEGER NOT NULL,
        total INTEGER NOT NULL,
        PRIMARY KEY (version, test, window),
        FOREIGN KEY (version, window) REFERENCES windows ON DELETE CASCADE
    ) WITHOUT ROWID;
    CREATE INDEX shares_by_window ON shares (version, window);

    CREATE TABLE tests (  -- what is known after a window of each share that is tested
        version TEXT NOT NULL,
        window INTEGER NOT NULL,
        test TEXT NOT NULL,
        log_e_value REAL NOT NULL,
        alarm INTEGER NOT NULL,
        since INTEGER NOT NULL,  -- the window that the share has likely changed in
        before REAL,
        after REAL,
        PRIMARY KEY (version, window, test),
        FOREIGN KEY (version, window) REFERENCES windows ON DELETE CASCADE
    ) WITHOUT ROWID;
    """,
    # To version 2: alerts, what happened to the model, retrainings and embeddings.
    """
    CREATE TABLE alerts (
        id INTEGER PRIMARY KEY,
        version TEXT NOT NULL,
        kind TEXT NOT NULL,  -- floor, fall, drift, no_traffic or labels_stopped
        subject TEXT NOT NULL,  -- what of: a metric and its slice, or a test; "" is all
        window INTEGER,  -- the one that it was seen in
        opened REAL NOT NULL,  -- seconds since 1970
        closed REAL,  -- NULL: it still holds
        message TEXT NOT NULL,
        figures TEXT NOT NULL,  -- JSON
        told REAL,  -- when the channels were told; NULL: not yet
        acknowledged REAL,
        acknowledged_by TEXT
    );
    CREATE INDEX alerts_by_version ON alerts (version, opened);

    CREATE TABLE tellings (  -- channels that were told, while others were not yet
        alert INTEGER NOT NULL REFERENCES alerts ON DELETE CASCADE,
        channel TEXT NOT NULL,  -- webhook, slack or email
        time REAL NOT NULL,
        PRIMARY KEY (alert, channel)
    ) WITHOUT ROWID;

    CREATE TABLE mutes (
        kind TEXT NOT NULL,
        subject TEXT NOT NULL,  -- "" is every subject of the kind
        until REAL NOT NULL,
        PRIMARY KEY (kind, subject)
    ) WITHOUT ROWID;

    CREATE TABLE marks (  -- what happened to the model, to be seen beside its figures
        time REAL NOT NULL,
        kind TEXT NOT NULL,  -- pushed, canary, promoted, rolled_back or retraining
        version TEXT NOT NULL DEFAULT '',
        text TEXT NOT NULL DEFAULT '',
        PRIMARY KEY (time, kind, version)
    ) WITHOUT ROWID;

    CREATE TABLE retrainings (
        number INTEGER PRIMARY KEY,
        claimed REAL NOT NULL,
        reason TEXT NOT NULL,
        how TEXT NOT NULL,  -- fine_tune, from_scratch or noisy_student
        labelled INTEGER NOT NULL,  -- new labelled photographs that it has
        run TEXT,  -- its id; NULL: not started yet
        ended TEXT  -- how; NULL: not ended yet
    );

    CREATE TABLE embeddings (  -- of a bounded sample of each window
        version TEXT NOT NULL,
        image_id TEXT NOT NULL,
        embedding BLOB NOT NULL,  -- float16
        PRIMARY KEY (version, image_id)
    ) WITHOUT ROWID;
    """,
    # To version 3: what embeddings of windows say, and the evidence of their test.
    """
    CREATE TABLE embedded_windows (  -- stays when labels come: it is computed for seconds
        version TEXT NOT NULL,
        window INTEGER NOT NULL,
        sample TEXT NOT NULL,  -- SHA-256 of what it was computed of
        figures TEXT NOT NULL,  -- JSON
        direction BLOB NOT NULL,  -- float64; the next window is ranked along it
        PRIMARY KEY (version, window)
    ) WITHOUT ROWID;

    CREATE TABLE bets (
        version TEXT NOT NULL,
        window INTEGER NOT NULL,
        evidence TEXT NOT NULL,  -- JSON: after the window
        PRIMARY KEY (version, window),
        FOREIGN KEY (version, window) REFERENCES windows ON DELETE CASCADE
    ) WITHOUT ROWID;
    """,
)
