package fence

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/millrace/millrace/router/eventlog"
	model "github.com/millrace/millrace/testing/protocol/fence"
)

var names = []string{"order/a", "order/b"}

// origin is a command of the model. Each two places in a row are commands of one
// cause.
func origin(c model.Command) *eventlog.Origin {
	o := &eventlog.Origin{
		Reaction: "ship", Cause: eventlog.Cause{TopicID: "t", Partition: 3, Offset: int64(c.Place / 2), N: int(c.Place%2) + 1},
		Subject: names[c.Stream],
	}
	for i, name := range names {
		if c.Open&model.Bit(uint8(i)) != 0 {
			o.Open = append(o.Open, name)
		}
	}
	return o
}

// Whatever comes, in any order, the fence answers as the model's.
func TestFollowsTheModel(t *testing.T) {
	repeated, apart := 0, 0
	for seed := range uint64(2000) {
		luck := rand.New(rand.NewPCG(seed, 0))
		var of model.Fence
		var fences Fences
		for range 20 {
			c := model.Command{Place: model.Place(1 + luck.IntN(8)), Stream: uint8(luck.IntN(2)), Open: uint8(luck.IntN(4))}
			want := of.Repeats(c, 0)
			if got := fences.Repeats(origin(c)); got != want {
				t.Fatalf("seed %d: %+v repeats: %v, the model says %v; the fence is %+v", seed, c, got, want, fences)
			}
			if want {
				repeated++
			} else if len(fences) > 0 && !fences[0].Highest.before(placeOf(origin(c).Cause)) {
				apart++
			}
			before := slices.Clone(fences)
			folded := fences.Fold(origin(c)) // also a command that was here: its end, if the command waited
			if diff := cmp.Diff(before, fences); diff != "" {
				t.Fatalf("a fold changes the fences before (-before +after):\n%s", diff)
			}
			of.Fold(c, 0)
			fences = folded
		}
	}
	if repeated < 1000 || apart < 1000 {
		t.Errorf("%d repetitions, and %d commands below the highest place that are none", repeated, apart)
	}
}

// Reactions, topics and partitions have fences of their own, and a client's
// command has none.
func TestFencesAreApart(t *testing.T) {
	o := origin(model.Command{Place: 5})
	fences := Fences(nil).Fold(o)
	for name, change := range map[string]func(*eventlog.Origin){
		"another reaction":  func(o *eventlog.Origin) { o.Reaction = "bill" },
		"another topic":     func(o *eventlog.Origin) { o.Cause.TopicID = "s" },
		"another partition": func(o *eventlog.Origin) { o.Cause.Partition = 2 },
	} {
		other := *o
		change(&other)
		if fences.Repeats(&other) {
			t.Errorf("%s: the command was here", name)
		}
		if fences = fences.Fold(&other); !fences.Repeats(&other) || !fences.Repeats(o) {
			t.Errorf("%s: %+v", name, fences)
		}
	}
	if fences.Repeats(nil) || len(fences.Fold(nil)) != len(fences) {
		t.Error("a client's command has a fence")
	}
}

// Fences are the same after the disk, and other bytes are an error or fences.
func FuzzRead(f *testing.F) {
	for seed := range uint64(10) {
		luck := rand.New(rand.NewPCG(seed, 0))
		var fences Fences
		for range 8 {
			o := origin(model.Command{Place: model.Place(1 + luck.IntN(200)), Stream: uint8(luck.IntN(2)), Open: uint8(luck.IntN(4))})
			o.Cause.Partition = int32(luck.IntN(3))
			fences = fences.Fold(o)
		}
		got, err := Read(fences.Append(nil))
		if diff := cmp.Diff(fences, got, cmp.Transformer("none", func(o []Open) string {
			if len(o) == 0 {
				return ""
			}
			return string((Fences{{Open: o}}).Append(nil))
		})); err != nil || diff != "" {
			f.Fatalf("%v (-want +got):\n%s", err, diff)
		}
		f.Add(fences.Append(nil))
	}
	f.Add([]byte{1, 'a', 1, 'b', 0, 1, 1, 255, 255, 255, 255, 15})
	f.Fuzz(func(t *testing.T, data []byte) {
		fences, err := Read(data)
		if err != nil {
			return
		}
		again, err := Read(fences.Append(nil))
		if diff := cmp.Diff(fences, again); err != nil || diff != "" {
			t.Errorf("%v (-first +second):\n%s", err, diff)
		}
	})
}
