package guard

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
)

// JWT verifies JSON Web Tokens of one issuer (RFC 7519, with the advice of
// RFC 8725).
type JWT struct {
	// Issuer is the required iss. Audience must be in aud.
	Issuer, Audience string
	// Algorithms lists the accepted algorithms of signatures, asymmetric
	// algorithms only. The guard refuses all other algorithms, whatever the
	// token's header says.
	Algorithms []string
	// Leeway is the allowed difference between clocks.
	Leeway time.Duration
	Keys   *Keys
}

// claims has the claims beyond the registered claims of RFC 7519.
type claims struct {
	Scope scopeList `json:"scope"`
	SCP   scopeList `json:"scp"`
}

// scopeList is a list of scope names. In JSON a scopeList is an array, or a
// string with spaces between the names.
type scopeList []string

// UnmarshalJSON reads both forms.
func (s *scopeList) UnmarshalJSON(body []byte) error {
	var list []string
	if err := json.Unmarshal(body, &list); err == nil {
		*s = list
		return nil
	}
	var text string
	if err := json.Unmarshal(body, &text); err != nil {
		return err
	}
	*s = strings.Fields(text)
	return nil
}

// verify returns the subject and the scopes of a token. An error is
// [invalidToken], or [errNoKeys] if the keys can't be read.
func (j *JWT) verify(ctx context.Context, text string) (subject string, scopes Scope, err error) {
	algorithms := make([]jose.SignatureAlgorithm, len(j.Algorithms))
	for i, name := range j.Algorithms {
		algorithms[i] = jose.SignatureAlgorithm(name)
	}
	token, err := jwt.ParseSigned(text, algorithms)
	if err != nil {
		return "", 0, &invalidToken{"the token is malformed, or signed by an algorithm that is not taken"}
	}
	header := token.Headers[0]
	keys, err := j.Keys.candidates(ctx, header.KeyID, header.Algorithm)
	if err != nil {
		return "", 0, err
	}
	for _, key := range keys {
		var registered jwt.Claims
		var more claims
		if token.Claims(key, &registered, &more) == nil {
			return j.accept(registered, more)
		}
	}
	return "", 0, &invalidToken{"the token is not signed by a key that is known"}
}

// accept checks the claims of a token with a good signature.
func (j *JWT) accept(registered jwt.Claims, more claims) (subject string, scopes Scope, err error) {
	err = registered.ValidateWithLeeway(jwt.Expected{
		Issuer: j.Issuer, AnyAudience: jwt.Audience{j.Audience}, Time: time.Now(),
	}, j.Leeway)
	switch {
	case errors.Is(err, jwt.ErrExpired), err == nil && registered.Expiry == nil:
		return "", 0, &invalidToken{"the token has expired, or never would"}
	case errors.Is(err, jwt.ErrNotValidYet), errors.Is(err, jwt.ErrIssuedInTheFuture):
		return "", 0, &invalidToken{"the token is not valid yet"}
	case errors.Is(err, jwt.ErrInvalidAudience):
		return "", 0, &invalidToken{"the token is for another audience"}
	case errors.Is(err, jwt.ErrInvalidIssuer):
		return "", 0, &invalidToken{"the token is of another issuer"}
	case err != nil, registered.Subject == "":
		return "", 0, &invalidToken{"the token's claims are not as they must be"}
	}
	for _, name := range append(more.Scope, more.SCP...) {
		scopes |= scopeNames[name]
	}
	return registered.Subject, scopes, nil
}
