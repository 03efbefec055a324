package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"regexp"
	"strings"
	"time"

	"github.com/millrace/millrace/testing/torture/history"
)

// patient is how long an operator's command may take.
const patient = 2 * time.Minute

// operator rebuilds read models, rolls back, and drops old generations, as people
// do, while commands and faults go on. Sometimes a command of the operator is
// killed.
type operator struct {
	cluster *cluster
	rng     *rand.Rand
	say     func(string, ...any)

	ended map[string]int // the number of commands, by command and end
	wrong []history.Violation
}

func newOperator(c *cluster, seed uint64, say func(string, ...any)) *operator {
	return &operator{cluster: c, rng: rand.New(rand.NewPCG(seed, 2000)), say: say, ended: map[string]int{}}
}

// run works until the context ends, and finishes the last command. Commands may
// fail as long as there are faults.
func (o *operator) run(ctx context.Context, pace time.Duration) {
	for pause(ctx, between(o.rng, pace, 13*pace)) {
		models := o.cluster.service.models
		model, roll, killed := models[o.rng.IntN(len(models))], o.rng.IntN(3), between(o.rng, 0, 2*time.Second)
		if o.rng.IntN(3) > 0 {
			killed = 0
		}
		out, ok := o.do(killed, "rebuild", model)
		kept := left.FindStringSubmatch(out)
		switch {
		case !ok || kept == nil || roll == 0:
		case roll == 1:
			o.do(0, "rollback", model)
		default:
			o.do(0, "drop", model, kept[1])
		}
	}
}

// left finds the generation before a swap, in the output of a rebuild.
var left = regexp.MustCompile(`generation (\d+) is kept`)

// finish rebuilds half of the read models once more. Now nothing may fail. app
// verify sees the other half untouched.
func (o *operator) finish() {
	models := o.cluster.service.models
	for _, i := range o.rng.Perm(len(models))[:len(models)/2] {
		model := models[i]
		if out, ok := o.do(0, "rebuild", model); !ok || !left.MatchString(out) {
			o.wrong = append(o.wrong, history.Violation{Rule: "not rebuilt", Detail: fmt.Sprintf("%s, when all was mended: %s", model, out)})
		}
	}
}

// do runs app projections, past all proxies. The process is killed after the given
// time; 0 for never.
func (o *operator) do(killed time.Duration, args ...string) (out string, ok bool) {
	ctx, cancel := context.WithTimeout(context.Background(), patient)
	defer cancel()
	cmd := o.cluster.command(ctx, o.cluster.binary, append([]string{"projections"}, args...)...)
	if killed > 0 {
		defer time.AfterFunc(killed, cancel).Stop()
	}
	text, err := cmd.CombinedOutput()
	how := "done"
	switch {
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		how = "given up"
	case ctx.Err() != nil:
		how = "killed"
	case err != nil:
		how = "failed"
	}
	o.ended[args[0]+" "+how]++
	why := ""
	if how == "failed" {
		why = ": " + lastLine(string(text))
	}
	o.say("%s: %s%s", strings.Join(args, " "), how, why)
	return string(text), err == nil
}

func lastLine(text string) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	return lines[len(lines)-1]
}

// print prints how the operator's commands ended.
func (o *operator) print(w io.Writer) {
	var all []string
	for _, command := range []string{"rebuild", "rollback", "drop"} {
		for _, how := range []string{"done", "failed", "killed", "given up"} {
			if n := o.ended[command+" "+how]; n > 0 {
				all = append(all, fmt.Sprintf("%s %s %d", command, how, n))
			}
		}
	}
	fmt.Fprintln(w, "read models meanwhile:", strings.Join(all, ", "))
}
