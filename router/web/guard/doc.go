// Package guard decides who may call an HTTP address, and how often.
//
//   - guard.go: [Guard], the handler in front of an address, and [Callers], the
//     accepted credentials.
//   - cookie.go: the token of a page, in a cookie, and the pages that may show
//     the cookie.
//   - forward.go: the token of a caller, for a request to another address.
//   - token.go: [Token], a static bearer token (RFC 6750), and [Scope].
//   - jwt.go: [JWT], the JSON Web Tokens of one issuer (RFC 7519, RFC 8725).
//   - keys.go, sources.go: [Keys], the issuer's public keys, from a file or from
//     the issuer (OpenID Connect Discovery 1.0).
//   - limits.go: [Limits], the number of requests of each caller.
//
// A client certificate is the third kind of credential. Package web verifies the
// certificate; the guard demands one.
package guard
