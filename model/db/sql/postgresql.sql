-- What the schema and the statements of the library use, and PostgreSQL does not have: made before the schema. Names are looked
-- up in the library's own schema first, so that max(a, b) and sum() of bigint are these. Each means what it means to sqlite.

CREATE FUNCTION ifnull(anycompatible, anycompatible) RETURNS anycompatible
        LANGUAGE sql IMMUTABLE PARALLEL SAFE AS 'SELECT coalesce($1, $2)';
CREATE FUNCTION ifnull(boolean, integer) RETURNS boolean
        LANGUAGE sql IMMUTABLE PARALLEL SAFE AS 'SELECT coalesce($1, $2 <> 0)';
CREATE FUNCTION iif(boolean, anycompatible, anycompatible) RETURNS anycompatible
        LANGUAGE sql IMMUTABLE PARALLEL SAFE AS 'SELECT CASE WHEN $1 THEN $2 ELSE $3 END';
CREATE FUNCTION iif(bigint, anycompatible, anycompatible) RETURNS anycompatible
        LANGUAGE sql IMMUTABLE PARALLEL SAFE AS 'SELECT CASE WHEN $1 <> 0 THEN $2 ELSE $3 END';
CREATE FUNCTION max(bigint, bigint) RETURNS bigint
        LANGUAGE sql IMMUTABLE PARALLEL SAFE AS 'SELECT CASE WHEN $1 > $2 THEN $1 WHEN $2 >= $1 THEN $2 END';
CREATE FUNCTION hex(bytea) RETURNS text
        LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$SELECT upper(encode($1, 'hex'))$$;
CREATE FUNCTION randomblob(integer) RETURNS bytea
        LANGUAGE sql VOLATILE AS 'SELECT substring(uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid()) FOR $1)';
CREATE FUNCTION unixepoch() RETURNS bigint
        LANGUAGE sql VOLATILE AS 'SELECT extract(epoch FROM clock_timestamp())::bigint';
-- of 'now' only; in days
CREATE FUNCTION julianday(text) RETURNS double precision
        LANGUAGE sql VOLATILE AS 'SELECT extract(epoch FROM clock_timestamp())::double precision / 86400 + 2440587.5';
-- '%04o' only
CREATE FUNCTION printf(text, bigint) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE AS
        $$SELECT concat(($2 >> 9) & 7, ($2 >> 6) & 7, ($2 >> 3) & 7, $2 & 7)$$;

CREATE AGGREGATE sum(bigint) (SFUNC = int8pl, STYPE = bigint);
CREATE FUNCTION count_true(bigint, boolean) RETURNS bigint
        LANGUAGE sql IMMUTABLE PARALLEL SAFE AS 'SELECT CASE WHEN $2 IS NULL THEN $1 ELSE coalesce($1, 0) + $2::int END';
CREATE AGGREGATE sum(boolean) (SFUNC = count_true, STYPE = bigint);
CREATE FUNCTION add_to_group(text, bigint) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE AS
        $$SELECT CASE WHEN $2 IS NULL THEN $1 ELSE coalesce($1 || ',', '') || $2 END$$;
CREATE AGGREGATE group_concat(bigint) (SFUNC = add_to_group, STYPE = text);

-- JSON, as sqlite's table of the same name shows it.
CREATE FUNCTION json_valid(text) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
        PERFORM $1::json;
        RETURN true;
EXCEPTION WHEN data_exception THEN
        RETURN false;
END $$;
CREATE FUNCTION json_word(json) RETURNS text LANGUAGE sql IMMUTABLE AS $$
        SELECT CASE json_typeof($1) WHEN 'string' THEN 'text' WHEN 'boolean' THEN $1 #>> '{}'
                WHEN 'number' THEN CASE WHEN $1 #>> '{}' ~ '^-?[0-9]+$' THEN 'integer' ELSE 'real' END
                ELSE json_typeof($1) END
$$;
CREATE FUNCTION json_type(text) RETURNS text LANGUAGE sql IMMUTABLE AS 'SELECT json_word($1::json)';
CREATE FUNCTION json_shown(json) RETURNS text LANGUAGE sql IMMUTABLE AS $$
        SELECT CASE json_word($1) WHEN 'true' THEN '1' WHEN 'false' THEN '0' ELSE $1 #>> '{}' END
$$;
CREATE FUNCTION json_each(text) RETURNS TABLE (key text, type text, value text) LANGUAGE sql IMMUTABLE AS $$
        SELECT member.key, json_word(member.value), json_shown(member.value)
                FROM json_each(CASE json_typeof($1::json) WHEN 'object' THEN $1::json ELSE '{}' END) AS member
        UNION ALL
        SELECT (n - 1)::text, json_word(element.value), json_shown(element.value)
                FROM json_array_elements(CASE json_typeof($1::json) WHEN 'array' THEN $1::json ELSE '[]' END)
                        WITH ORDINALITY AS element(value, n)
        UNION ALL
        SELECT NULL, json_word($1::json), json_shown($1::json) WHERE json_typeof($1::json) NOT IN ('object', 'array')
$$;
-- the path: '$.name' only
CREATE FUNCTION json_each(text, text) RETURNS TABLE (key text, type text, value text) LANGUAGE sql IMMUTABLE AS
        'SELECT * FROM json_each(($1::json -> substr($2, 3))::text)';

-- What triggers say of an event (schema.sql), and how it becomes a row: there a view without types, and by SQL alone.
CREATE VIEW happening AS SELECT NULL::text AS what, NULL::bigint AS region, NULL::text AS object, NULL::text AS ident,
        NULL::bigint AS uid, NULL::bigint AS gid, NULL::bigint AS mode, NULL::bigint AS image, NULL::bigint AS reader,
        NULL::text AS detail;
CREATE FUNCTION happening_insert() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
        place text := '';
        seen bigint := new.mode;
        open boolean := true;
        let_in text;
        ring bigint;
        last record;
BEGIN
        IF new.region IS NOT NULL THEN
                SELECT handle, new.mode & CASE WHEN mode & 1 <> 0 THEN 511 WHEN mode & 8 <> 0 AND gid = new.gid THEN 504
                        ELSE 448 END, mode & 1 <> 0 INTO place, seen, open FROM region WHERE id = new.region;
        END IF;
        IF open AND (new.image IS NOT NULL OR new.reader IS NOT NULL) THEN
                SELECT ',' || nullif(ifnull(group_concat(uid), '') || ifnull(',' || new.reader, ''), '') || ','
                        INTO let_in FROM share WHERE image = new.image;
        END IF;
        ring := (let_in IS NOT NULL OR seen & 9 <> 0)::int;
        SELECT seq, n INTO last FROM event WHERE reach = ring AND uid = new.uid ORDER BY seq DESC LIMIT 1;
        INSERT INTO event (time, what, region, object, ident, uid, gid, mode, readers, reach, n, prev, detail)
                VALUES ((extract(epoch FROM clock_timestamp()) * 1000000)::bigint, new.what, place, new.object, new.ident,
                        new.uid, new.gid, seen, let_in, ring, coalesce(last.n, 0) + 1, coalesce(last.seq, 0), new.detail);
        RETURN new;
END $$;
CREATE TRIGGER happening_insert INSTEAD OF INSERT ON happening FOR EACH ROW EXECUTE FUNCTION happening_insert();

-- Which commit of each process that writes was the last: what the answer of one that was lost would have said. See db_pg.c.
CREATE TABLE writer (
        name text PRIMARY KEY,
        last bigint NOT NULL
);
