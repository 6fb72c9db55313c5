// What somebody would write by hand: fastify, jose, and keys and sessions in SQLite, synced at each
// mint. Prints `ready PORT`.
//
//   node fastify.mjs FOLDER KEY

import { createHash, randomBytes } from "node:crypto";
import { join } from "node:path";

import Database from "better-sqlite3";
import Fastify from "fastify";
import { exportJWK, generateKeyPair, SignJWT } from "jose";

const [folder, key] = process.argv.slice(2);
const ISSUER = "http://hallpass.test";

const database = new Database(join(folder, "fastify.db"));
database.pragma("journal_mode = WAL");
database.pragma("synchronous = FULL");
database.exec(`
  CREATE TABLE api_key (digest BLOB PRIMARY KEY, id TEXT NOT NULL, account TEXT NOT NULL, routes TEXT NOT NULL)
    WITHOUT ROWID;
  CREATE TABLE session (id TEXT PRIMARY KEY, key_id TEXT NOT NULL, issued_at INTEGER NOT NULL,
    detail TEXT NOT NULL);
`);
const sha256 = (text) => createHash("sha256").update(text).digest();
const TEN = [
  "GET bot/list", "GET bot/*/fetch", "POST bot/*/session/create", "* dataset/*/record/**",
  "GET file/*/download", "POST integration/*/trigger", "POST conversation/*/complete",
  "* conversation/*/message/**", "GET event/**", "* platform/report/**",
];
database
  .prepare("INSERT INTO api_key VALUES (?, 'key_1', 'usr_1', ?)")
  .run(sha256(key), JSON.stringify(TEN));
const findKey = database.prepare("SELECT id, account, routes FROM api_key WHERE digest = ?");
const insertSession = database.prepare("INSERT INTO session VALUES (?, ?, ?, ?)");

const { privateKey, publicKey } = await generateKeyPair("ES256");
const jwks = { keys: [{ ...(await exportJWK(publicKey)), alg: "ES256", use: "sig", kid: "1" }] };

// Patterns are compiled once for each key.
const compiled = new Map();
function patterns(row) {
  let list = compiled.get(row.id);
  if (!list) {
    list = JSON.parse(row.routes).map((text) => {
      const [method, path] = text.split(" ");
      const regex = path
        .split("/")
        .map((part) => (part === "**" ? ".*" : part === "*" ? "[^/]+" : part))
        .join("/");
      return { method, path: new RegExp(`^/v1/${regex}$`) };
    });
    compiled.set(row.id, list);
  }
  return list;
}

function caller(request, reply) {
  const header = request.headers.authorization ?? "";
  const row = header.startsWith("Bearer ") ? findKey.get(sha256(header.slice(7))) : undefined;
  if (!row) reply.code(401).send({ message: "no such key" });
  return row;
}

const app = Fastify({ keepAliveTimeout: 60_000 });

app.post("/v1/session/create", async (request, reply) => {
  const row = caller(request, reply);
  if (!row) return reply;
  const id = `ses_${Date.now().toString(36)}${randomBytes(10).toString("hex")}`;
  const { allowedRoutes, data } = request.body;
  const now = Math.floor(Date.now() / 1000);
  const token = await new SignJWT({ client_id: row.id, allowedRoutes, data })
    .setProtectedHeader({ alg: "ES256", typ: "at+jwt", kid: "1" })
    .setIssuer(ISSUER)
    .setSubject(row.account)
    .setAudience(`${ISSUER}/api`)
    .setIssuedAt(now)
    .setExpirationTime(now + 900)
    .setJti(id)
    .sign(privateKey);
  insertSession.run(id, row.id, now, JSON.stringify({ allowedRoutes, data }));
  return { id, token, expiresAt: (now + 900) * 1000, allowedRoutes, data };
});

app.get("/v1/authorize/nginx", (request, reply) => {
  const row = caller(request, reply);
  if (!row) return;
  const method = request.headers["x-original-method"];
  const path = (request.headers["x-original-uri"] ?? "").split("?", 1)[0];
  const allowed = patterns(row).some(
    (pattern) => (pattern.method === "*" || pattern.method === method) && pattern.path.test(path),
  );
  reply.header("x-auth-account-id", row.account).code(allowed ? 200 : 403).send();
});

app.get("/.well-known/jwks.json", (_request, reply) => reply.send(jwks));

await app.listen({ port: 0, host: "127.0.0.1" });
console.log(`ready ${app.server.address().port}`);
