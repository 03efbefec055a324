package main

import "testing"

func TestGrowth(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name  string
		value func(i int) float64
		grew  bool
	}{
		{"flat", func(int) float64 { return 100 }, false},
		{"a leak", func(i int) float64 { return 100 + float64(i) }, true},
		{"a leak under a saw", func(i int) float64 { return 100 + float64(i) + float64(i%10)*20 }, true},
		{"a saw", func(i int) float64 { return 100 + float64(i%10)*20 }, false},
		{"warming up", func(i int) float64 { return 100 + float64(min(i, 30)) }, false},
		{"hardly more", func(i int) float64 { return 100 + float64(i)/10 }, false},
		{"more for a while", func(i int) float64 {
			if i > 50 && i < 80 {
				return 300
			}
			return 100
		}, false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			var values []float64
			for i := range 120 {
				values = append(values, test.value(i))
			}
			if from, to, grew := growth(values, 20); grew != test.grew {
				t.Errorf("%t, from %.0f to %.0f", grew, from, to)
			}
		})
	}
}
