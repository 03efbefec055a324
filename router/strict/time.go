package strict

import (
	"errors"
	"regexp"
	"time"
)

// TimeDetail is the form of a time in words.
const TimeDetail = "must be a time as in RFC 3339, such as 2026-12-24T18:00:00Z"

// timeForm is the form of a time, with a time zone. [time.Parse] alone takes other
// forms too.
var timeForm = regexp.MustCompile(`^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,9})?(Z|[+-]([01][0-9]|2[0-3]):[0-5][0-9])$`)

// Time reads a time, and rounds up to milliseconds.
func Time(text string) (time.Time, error) {
	t, err := time.Parse(time.RFC3339Nano, text)
	if err != nil || !timeForm.MatchString(text) {
		return time.Time{}, errors.New(TimeDetail)
	}
	return t.Add(time.Millisecond - time.Nanosecond).Truncate(time.Millisecond).UTC(), nil
}

// mostYears is the longest wait of a command, in years.
const mostYears = 10

// CheckNotBefore returns an error for a time that is too far away for a command to
// wait for.
func CheckNotBefore(notBefore, accepted time.Time) error {
	if notBefore.After(accepted.AddDate(mostYears, 0, 0)) || notBefore.Before(accepted.AddDate(-mostYears, 0, 0)) {
		return errors.New("must be at most ten years away")
	}
	return nil
}
