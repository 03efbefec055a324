package main

import (
	"cmp"
	"fmt"
	"maps"
	"os"
	"slices"
	"text/tabwriter"
	"time"

	"github.com/millrace/millrace/testing/torture/history"
)

// shown is the number of violations of a rule that are printed.
const shown = 5

// printTable prints the operations by result, and the faults with the longest
// recovery.
func printTable(operations []history.Operation, faults []fault) {
	fmt.Println()
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
	results := []history.Result{history.Succeeded, history.Accepted, history.Refused, history.Parked, history.Unknown, history.Unexpected}
	fmt.Fprint(w, "operations\t")
	for _, r := range results {
		fmt.Fprintf(w, "%s\t", r)
	}
	fmt.Fprintln(w)
	counts := map[string]map[history.Result]int{}
	for i := range operations {
		o := &operations[i]
		if counts[o.Kind] == nil {
			counts[o.Kind] = map[history.Result]int{}
		}
		counts[o.Kind][o.Result()]++
	}
	for _, kind := range slices.Sorted(maps.Keys(counts)) {
		fmt.Fprintf(w, "%s\t", kind)
		for _, r := range results {
			fmt.Fprintf(w, "%d\t", counts[kind][r])
		}
		fmt.Fprintln(w)
	}
	fmt.Fprint(w, "\nfaults survived\t")
	for _, role := range allRoles {
		fmt.Fprintf(w, "%s\t", role)
	}
	fmt.Fprintln(w, "longest recovery\t")
	for _, kind := range allFaults {
		of := slices.DeleteFunc(slices.Clone(faults), func(f fault) bool { return f.Kind != kind })
		if len(of) == 0 {
			continue
		}
		fmt.Fprintf(w, "%s\t", kind)
		for _, role := range allRoles {
			n := 0
			for _, f := range of {
				if f.Role == role {
					n++
				}
			}
			fmt.Fprintf(w, "%d\t", n)
		}
		fmt.Fprintf(w, "%s\t\n", recovery(operations, of).Round(10*time.Millisecond))
	}
	_ = w.Flush() // of a terminal
}

// printReport prints what the checker counted.
func printReport(operations []history.Operation, report *history.Report, took time.Duration) {
	if n := len(report.Hostile); n > 0 {
		fmt.Print("\nhostile records:")
		for _, fate := range slices.Sorted(maps.Keys(report.Hostile)) {
			fmt.Printf(" %d %s", report.Hostile[fate], fate)
		}
		fmt.Println()
	}
	fmt.Printf("\n%d operations in %s; %d records count, %d of them of deferred commands, %d came too late for their sequence number; %d operations of %d users linearizable: %s\n",
		len(operations), took.Round(time.Second), report.Accepted, report.Deferred, report.Ignored, report.Linear.Operations, report.Linear.Users, report.Linear.Result)
}

// printSamples prints the samples of the longest life of each process.
func printSamples(lives []*life) {
	if len(lives) == 0 {
		return
	}
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprint(w, "\nheld: first, last, most\tfor\t")
	for _, m := range measures {
		fmt.Fprintf(w, "%s\t", m.name)
	}
	fmt.Fprintln(w)
	for _, l := range lives {
		fmt.Fprintf(w, "%s\t%s\t", l.process.name, (l.to - l.from).Round(time.Second))
		for _, values := range l.values {
			fmt.Fprintf(w, "%.0f, %.0f, %.0f\t", values[0], values[len(values)-1], slices.Max(values))
		}
		fmt.Fprintln(w)
	}
	_ = w.Flush() // of a terminal
}

// recovery is the longest time from the beginning of a fault until each client had
// an answer to a later request.
func recovery(operations []history.Operation, faults []fault) (longest time.Duration) {
	byReturn := slices.Clone(operations)
	slices.SortFunc(byReturn, func(a, b history.Operation) int { return cmp.Compare(a.Return, b.Return) })
	for _, f := range faults {
		first := map[int]time.Duration{}
		for i := range byReturn {
			o := &byReturn[i]
			if _, has := first[o.Client]; !has && !o.IsOperator() && o.Call >= f.From && o.Result() != history.Unknown {
				first[o.Client] = o.Return - f.From
				longest = max(longest, first[o.Client])
			}
		}
	}
	return longest
}

// printVerdict prints the broken promises. The code is 1 if there are any.
func printVerdict(broken []history.Violation) (code int) {
	if len(broken) == 0 {
		fmt.Println("verdict: every promise was kept")
		return 0
	}
	fmt.Printf("verdict: BROKEN, %d times\n", len(broken))
	printBroken(broken)
	return 1
}

// printBroken prints the first violations of each rule.
func printBroken(all []history.Violation) {
	byRule := map[string][]history.Violation{}
	var rules []string
	for _, v := range all {
		if byRule[v.Rule] == nil {
			rules = append(rules, v.Rule)
		}
		byRule[v.Rule] = append(byRule[v.Rule], v)
	}
	for _, rule := range rules {
		fmt.Printf("  %s: %d\n", rule, len(byRule[rule]))
		for _, v := range byRule[rule][:min(shown, len(byRule[rule]))] {
			fmt.Printf("    %s\n", v.Detail)
		}
	}
}
