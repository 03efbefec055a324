package strict

import (
	"testing"
	"time"
)

func TestTime(t *testing.T) {
	for text, want := range map[string]string{
		"2026-12-24T18:00:00Z":           "2026-12-24T18:00:00Z",
		"2026-12-24T18:00:00.5+01:00":    "2026-12-24T17:00:00.5Z",
		"2026-12-24T18:00:00.000000001Z": "2026-12-24T18:00:00.001Z", // not before
		"2026-12-24T23:59:59.9995Z":      "2026-12-25T00:00:00Z",
		"2026-12-24T18:00:00-23:59":      "2026-12-25T17:59:00Z",
		"2026-12-24T24:00:00Z":           "",
		"2026-12-24T18:00:60Z":           "",
		"2026-12-24T1:00:00Z":            "",
		"2026-12-24T18:00:00,5Z":         "",
		"2026-12-24T18:00:00+24:00":      "",
		"2026-12-24T18:00:00":            "",
		"+2026-12-24T18:00:00Z":          "",
	} {
		got, err := Time(text)
		if (err == nil) != (want != "") || err == nil && got.Format(time.RFC3339Nano) != want {
			t.Errorf("%s is %v, %v", text, got, err)
		}
	}
}

func TestCheckNotBefore(t *testing.T) {
	accepted := time.Date(2026, 11, 30, 12, 0, 0, 0, time.UTC)
	for text, right := range map[string]bool{
		"2036-11-30T12:00:00Z": true, "2036-11-30T12:00:00.001Z": false,
		"2016-11-30T12:00:00Z": true, "2016-11-30T11:59:59.999Z": false,
	} {
		notBefore, err := Time(text)
		if err != nil {
			t.Fatal(err)
		}
		if err := CheckNotBefore(notBefore, accepted); (err == nil) != right {
			t.Errorf("%s: %v", text, err)
		}
	}
}
