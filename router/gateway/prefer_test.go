package gateway

import (
	"net/http"
	"testing"
	"time"
)

func TestPreferredWait(t *testing.T) {
	tests := []struct {
		name   string
		fields []string
		want   time.Duration
	}{
		{"none", nil, 0},
		{"empty", []string{""}, 0},
		{"others", []string{"respond-async, return=minimal"}, 0},
		{"bare", []string{"wait=5"}, 5 * time.Second},
		{"one", []string{"wait=1"}, time.Second},
		{"zero", []string{"wait=0"}, 0},
		{"leading zeros", []string{"wait=007"}, 7 * time.Second},
		{"30", []string{"wait=30"}, 30 * time.Second},
		{"over 30", []string{"wait=31"}, 30 * time.Second},
		{"far over 30", []string{"wait=99999999999999999999999"}, 30 * time.Second},
		{"what would overflow a duration", []string{"wait=18446744073"}, 30 * time.Second},
		{"quoted", []string{`wait="5"`}, 5 * time.Second},
		{"any case", []string{"WaIt=5"}, 5 * time.Second},
		{"white space", []string{" \twait \t= \t5 \t"}, 5 * time.Second},
		{"in a list", []string{"respond-async, wait=5 , foo"}, 5 * time.Second},
		{"empty members", []string{", ,wait=5"}, 5 * time.Second},
		{"in a later field", []string{"respond-async", "wait=5"}, 5 * time.Second},
		{"parameters", []string{"wait=5; foo=bar; baz"}, 5 * time.Second},
		{"quoted, with parameters", []string{`wait="5" ;foo="a,b;c"`}, 5 * time.Second},
		{"the first counts", []string{"wait=5, wait=6", "wait=7"}, 5 * time.Second},
		{"the first counts, even malformed", []string{"wait=soon, wait=6"}, 0},
		{"the first counts, even without a value", []string{"wait", "wait=6"}, 0},
		{"in another's quoted string", []string{`foo="a, wait=5"`}, 0},
		{"behind another's quoted string", []string{`foo="a;b,\"", wait=5`}, 5 * time.Second},
		{"as another's parameter", []string{"foo; wait=5"}, 0},
		{"other names", []string{"waits=5, await=6, wait-for=7, x=wait=8"}, 0},
		{"no value", []string{"wait"}, 0},
		{"empty value", []string{"wait="}, 0},
		{"empty quotes", []string{`wait=""`}, 0},
		{"one quote", []string{`wait="`}, 0},
		{"open quotes", []string{`wait="5`}, 0},
		{"open quotes before it", []string{`foo="bar, wait=5`}, 0},
		{"open quotes in another field", []string{`foo="bar`, "wait=5"}, 5 * time.Second},
		{"quotes in quotes", []string{`wait=""5""`}, 0},
		{"negative", []string{"wait=-1"}, 0},
		{"sign", []string{"wait=+1"}, 0},
		{"fraction", []string{"wait=1.5"}, 0},
		{"unit", []string{"wait=5s"}, 0},
		{"hexadecimal", []string{"wait=0x5"}, 0},
		{"underscore", []string{"wait=1_0"}, 0},
		{"other digits", []string{"wait=٥"}, 0},
		{"no-break space", []string{"wait=\u00a05"}, 0},
		{"two values", []string{"wait=5 6"}, 0},
		{"two equals signs", []string{"wait==5"}, 0},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			h := http.Header{"Prefer": test.fields}
			if got := preferredWait(h); got != test.want {
				t.Errorf("%q: got %v, want %v", test.fields, got, test.want)
			}
		})
	}
}
