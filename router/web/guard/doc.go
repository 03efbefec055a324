// Package guard decides who may call an HTTP address, and how often: static
// bearer tokens (RFC 6750), JSON Web Tokens of one issuer (RFC 7519, 8725),
// client certificates, and limits for each caller.
package guard
