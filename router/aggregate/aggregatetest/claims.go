package aggregatetest

import (
	"bytes"
	"slices"

	"github.com/millrace/millrace/router/aggregate"
)

// ThenClaims checks the values that the state holds and that no other stream may
// hold, in any order.
func (h *History) ThenClaims(want ...aggregate.Claim) *History {
	h.t.Helper()
	claims := h.claims()
	if len(claims) != len(want) || slices.ContainsFunc(want, func(c aggregate.Claim) bool { return !slices.Contains(claims, c) }) {
		h.fail("the state claims\n\t%v\nwant\n\t%v", claims, want)
	}
	return h
}

// checkClaims checks that Claims is pure.
func (h *History) checkClaims() {
	h.t.Helper()
	before := h.encode(h.state)
	claims := h.claims()
	if now := h.encode(h.state); !bytes.Equal(now, before) {
		h.fail("Claims changes the state from %s to %s", before, now)
	}
	if again, err := h.of.Claims(h.decode(before)); err != nil || !slices.Equal(claims, again) {
		h.fail("the claims of the state are %v, and the claims of the state that was written and read are %v (%v)", claims, again, err)
	}
}

func (h *History) claims() []aggregate.Claim {
	h.t.Helper()
	claims, err := h.of.Claims(h.state)
	if err != nil {
		h.fail("%v", err)
	}
	return claims
}
