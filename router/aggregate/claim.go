package aggregate

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
)

// Claim is a value that a state holds, and that no other stream may hold at the
// same time.
type Claim struct {
	// Name is the kind of the value, as "email". The claims of all aggregates with
	// the same name are claims on the same values. The name never changes after a
	// release.
	Name string
	// Value is the value in the form in which the domain compares values: two
	// values are the same if their bytes are. For a comparison without case, Value
	// is the value in lower case. A value has at most [MaxClaimValue] bytes.
	Value string
	// Refusal refuses a command whose event would add the value while another
	// stream holds the value. The refusal is one of the definition.
	Refusal *Refusal
}

const (
	// MaxClaimValue is the length of the longest value of a claim, in bytes.
	MaxClaimValue = 256
	// MaxClaims is the largest number of values that a state may hold: a record
	// names all claims that the record gives back.
	MaxClaims = 32
)

// ClaimStream is the name of the stream that knows who holds a value. The value
// is not in the name, because the value may be personal data.
func ClaimStream(name, value string) string {
	sum := sha256.Sum256([]byte(value))
	return "unique/" + name + "/" + hex.EncodeToString(sum[:])
}

// Stream is the [ClaimStream] of a claim.
func (c Claim) Stream() string { return ClaimStream(c.Name, c.Value) }

// ErrClaimTooLong is the error of a claim with a value of more than
// [MaxClaimValue] bytes.
var ErrClaimTooLong = errors.New("the value of a claim is too long")

// HasClaims reports whether states of the aggregate may hold values that must be
// unique.
func (t *Type) HasClaims() bool { return t.claims != nil }

// Claims are the values that a state holds, each once, in the order of their
// streams. The error says what is wrong with a claim.
func (t *Type) Claims(state any) ([]Claim, error) {
	if t.claims == nil {
		return nil, nil
	}
	claims := slices.Clone(t.claims(state))
	if len(claims) > MaxClaims {
		return nil, fmt.Errorf("a state has %d claims, and at most %d are allowed", len(claims), MaxClaims)
	}
	for _, c := range claims {
		switch {
		case !nameForm.MatchString(c.Name):
			return nil, fmt.Errorf("the name of a claim must be a lower-case letter, then letters, digits and hyphens, and is %q", c.Name)
		case c.Value == "":
			return nil, fmt.Errorf("a claim %q has no value", c.Name)
		case len(c.Value) > MaxClaimValue:
			return nil, fmt.Errorf("%w: a value of %q has %d bytes, and at most %d are allowed", ErrClaimTooLong, c.Name, len(c.Value), MaxClaimValue)
		case c.Refusal == nil || !t.hasRefusal(c.Refusal):
			return nil, fmt.Errorf("the refusal of claim %q is not among the refusals of aggregate %s", c.Name, t.name)
		}
	}
	slices.SortFunc(claims, func(a, b Claim) int { return cmp.Compare(a.Stream(), b.Stream()) })
	return slices.CompactFunc(claims, func(a, b Claim) bool { return a.Name == b.Name && a.Value == b.Value }), nil
}

func (t *Type) hasRefusal(no *Refusal) bool {
	return slices.ContainsFunc(t.refusals, func(r *Refusal) bool { return r.Slug == no.Slug && r.Kind == no.Kind })
}
