package guard

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"strings"
)

// Scope says what a caller may do. A Scope can combine several scopes by |.
type Scope uint8

// The scopes. A token has at least one scope.
const (
	Commands Scope = 1 << iota // send commands
	Queries                    // query read models
	Operate                    // use the admin address

	everything = Commands | Queries | Operate
)

var scopeNames = map[string]Scope{"commands": Commands, "queries": Queries, "operate": Operate}

// String returns the name of a single scope, "several" for any other value.
func (s Scope) String() string {
	for name, scope := range scopeNames {
		if scope == s {
			return name
		}
	}
	return "several"
}

// Token is a static bearer token. The configuration has only the token's digest.
type Token struct {
	name   string
	scopes Scope
	digest [sha256.Size]byte
}

var errToken = errors.New("a token must be name:scopes:sha256, such as shop:commands+queries:9f86…")

// ParseToken reads name:scopes:sha256, with + between scopes and the token's
// SHA-256 in hexadecimal. Two tokens may share a name, for a change of tokens
// without a pause.
func ParseToken(text string) (Token, error) {
	parts := strings.Split(text, ":")
	if len(parts) != 3 || parts[0] == "" {
		return Token{}, errToken
	}
	t := Token{name: parts[0]}
	for name := range strings.SplitSeq(parts[1], "+") {
		scope, ok := scopeNames[name]
		if !ok {
			return Token{}, errToken
		}
		t.scopes |= scope
	}
	digest, err := hex.DecodeString(parts[2])
	if err != nil || len(digest) != sha256.Size {
		return Token{}, errToken
	}
	copy(t.digest[:], digest)
	return t, nil
}

// lookUp finds a token by its digest, in the same time for every token.
func lookUp(tokens []Token, presented string) (name string, scopes Scope, ok bool) {
	digest := sha256.Sum256([]byte(presented))
	for i := range tokens {
		if subtle.ConstantTimeCompare(digest[:], tokens[i].digest[:]) == 1 {
			name, scopes, ok = tokens[i].name, tokens[i].scopes, true
		}
	}
	return name, scopes, ok
}
