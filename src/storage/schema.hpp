#pragma once
// Tables of the module "storage". Empty parents are NULL, so that foreign keys hold; times are
// nanoseconds since the epoch.
#include <string_view>

namespace corten::storage {

constexpr std::string_view storage_schema[] = {
    R"(
CREATE TABLE layer(
    chain_id  TEXT PRIMARY KEY,
    diff_id   TEXT NOT NULL,
    parent    TEXT REFERENCES layer(chain_id),
    cache_id  TEXT NOT NULL UNIQUE,
    size      INTEGER NOT NULL,
    disk_size INTEGER NOT NULL,
    created   INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX layer_parent ON layer(parent);

CREATE TABLE snapshot(
    key        TEXT PRIMARY KEY,
    cache_id   TEXT NOT NULL UNIQUE,
    parent     TEXT REFERENCES layer(chain_id),
    init_layer INTEGER NOT NULL,
    created    INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX snapshot_parent ON snapshot(parent);

CREATE TABLE image(
    id              TEXT PRIMARY KEY,
    config          TEXT NOT NULL,
    manifest        TEXT NOT NULL,
    manifest_digest TEXT NOT NULL,
    media_type      TEXT NOT NULL,
    parent          TEXT NOT NULL,
    chain_id        TEXT REFERENCES layer(chain_id),
    created         INTEGER NOT NULL,
    last_tagged     INTEGER NOT NULL
) STRICT;
CREATE INDEX image_parent ON image(parent);
CREATE INDEX image_chain ON image(chain_id);

CREATE TABLE reference(
    name  TEXT PRIMARY KEY,
    image TEXT NOT NULL REFERENCES image(id)
) STRICT, WITHOUT ROWID;
CREATE INDEX reference_image ON reference(image);

CREATE TABLE lease(
    id      INTEGER PRIMARY KEY,
    what    TEXT NOT NULL,
    created INTEGER NOT NULL,
    expires INTEGER
) STRICT;
CREATE TABLE lease_layer(
    lease    INTEGER NOT NULL REFERENCES lease(id) ON DELETE CASCADE,
    chain_id TEXT NOT NULL,
    PRIMARY KEY(lease, chain_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX lease_layer_chain ON lease_layer(chain_id);
)",
    "ALTER TABLE image ADD COLUMN last_used INTEGER NOT NULL DEFAULT 0",
    R"(
CREATE TABLE image_index(
    digest     TEXT PRIMARY KEY,
    media_type TEXT NOT NULL,
    content    TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE index_image(
    index_digest    TEXT NOT NULL REFERENCES image_index(digest) ON DELETE CASCADE,
    manifest_digest TEXT NOT NULL,
    manifest        TEXT NOT NULL,
    image           TEXT NOT NULL REFERENCES image(id) ON DELETE CASCADE,
    PRIMARY KEY(index_digest, manifest_digest)
) STRICT, WITHOUT ROWID;
CREATE INDEX index_image_image ON index_image(image);
ALTER TABLE reference ADD COLUMN image_index TEXT REFERENCES image_index(digest);
CREATE INDEX reference_index ON reference(image_index);
)",
    R"(
CREATE TABLE layer_blob(
    digest     TEXT PRIMARY KEY,
    diff_id    TEXT NOT NULL,
    media_type TEXT NOT NULL,
    size       INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX layer_blob_diff ON layer_blob(diff_id);
)",
    R"(
ALTER TABLE layer DROP COLUMN disk_size;
ALTER TABLE layer ADD COLUMN tar_size INTEGER;
CREATE INDEX layer_diff ON layer(diff_id);
)"};

}  // namespace corten::storage
