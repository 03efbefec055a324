package guard

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"strings"
)

// Scope is what a caller may do: any of them together.
type Scope uint8

// The scopes. A token has one or more.
const (
	Commands Scope = 1 << iota // send commands
	Queries                    // ask the read models
	Operate                    // see the admin address

	everything = Commands | Queries | Operate
)

var scopeNames = map[string]Scope{"commands": Commands, "queries": Queries, "operate": Operate}

// String is the name of a single scope.
func (s Scope) String() string {
	for name, scope := range scopeNames {
		if scope == s {
			return name
		}
	}
	return "several"
}

// Token is a static bearer token, of which only the digest is known.
type Token struct {
	name   string
	scopes Scope
	digest [sha256.Size]byte
}

var errToken = errors.New("a token must be name:scopes:sha256, such as shop:commands+queries:9f86…")

// ParseToken reads name:scopes:sha256, the scopes joined by +, the digest of
// the token in hex. Two tokens may have one name: to replace one by the other.
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

// lookUp compares with every token, in the same time whichever it is.
func lookUp(tokens []Token, presented string) (name string, scopes Scope, ok bool) {
	digest := sha256.Sum256([]byte(presented))
	for i := range tokens {
		if subtle.ConstantTimeCompare(digest[:], tokens[i].digest[:]) == 1 {
			name, scopes, ok = tokens[i].name, tokens[i].scopes, true
		}
	}
	return name, scopes, ok
}
