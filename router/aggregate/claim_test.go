package aggregate

import (
	"errors"
	"strings"
	"testing"
)

// The names of claim streams are in the log, and never change.
func TestClaimStream(t *testing.T) {
	const want = "unique/email/7a64adf28737ea90719cbdf0b1a87a5effff3753b79c91d717f4f4153ead0498"
	if got := ClaimStream("email", "alice@example.org"); got != want || (Claim{Name: "email", Value: "alice@example.org"}).Stream() != want {
		t.Errorf("got %s", got)
	}
	if ClaimStream("email", "") == ClaimStream("email", " ") || ClaimStream("email", "a") == ClaimStream("phone", "a") {
		t.Error("two values have one stream")
	}
}

func TestClaims(t *testing.T) {
	taken, other := &Refusal{Slug: "coin-taken", Detail: "another jar has the coin"}, &Refusal{Slug: "other", Detail: "another"}
	claimed := func(claims ...Claim) *Type {
		d := jars()
		d.Refusals = append(d.Refusals[:len(d.Refusals):len(d.Refusals)], taken)
		d.Claims = func(jar) []Claim { return claims }
		return Of(d)
	}
	coin := func(value string) Claim { return Claim{"coin", value, taken} }

	if claims, err := Of(jars()).Claims(nil); claims != nil || err != nil || Of(jars()).HasClaims() {
		t.Errorf("without Claims: %v, %v", claims, err)
	}
	if claims, err := claimed().Claims(nil); len(claims) > 0 || err != nil || !claimed().HasClaims() {
		t.Errorf("no claims: %v, %v", claims, err)
	}
	given := []Claim{coin("1"), coin("2"), coin("1"), coin(strings.Repeat("3", MaxClaimValue))}
	claims, err := claimed(given...).Claims(jar{})
	if err != nil || len(claims) != 3 || given[2] != coin("1") {
		t.Fatalf("got %v, %v", claims, err)
	}
	for i := range claims[1:] {
		if claims[i].Stream() >= claims[i+1].Stream() {
			t.Errorf("%v comes before %v", claims[i], claims[i+1])
		}
	}
	if _, err := claimed(make([]Claim, MaxClaims+1)...).Claims(nil); err == nil || err.Error() != "a state has 33 claims, and at most 32 are allowed" {
		t.Errorf("33 claims: %v", err)
	}
	for want, wrong := range map[string]Claim{
		"the name of a claim must be a lower-case letter, then letters, digits and hyphens, and is \"a/b\"": {"a/b", "1", taken},
		"a claim \"coin\" has no value": coin(""),
		"the value of a claim is too long: a value of \"coin\" has 257 bytes, and at most 256 are allowed": coin(strings.Repeat("1", 257)),
		"the refusal of claim \"coin\" is not among the refusals of aggregate jar":                         {"coin", "1", other},
		"the refusal of claim \"bill\" is not among the refusals of aggregate jar":                         {"bill", "1", nil},
	} {
		_, err := claimed(coin("1"), wrong).Claims(jar{})
		if err == nil || err.Error() != want || errors.Is(err, ErrClaimTooLong) != (len(wrong.Value) > MaxClaimValue) {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}
