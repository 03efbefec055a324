package service

import (
	"runtime"
	"runtime/debug"
	"testing"
)

func TestVersionText(t *testing.T) {
	t.Parallel()
	commit := []debug.BuildSetting{{Key: "vcs.revision", Value: "abc"}, {Key: "vcs.time", Value: "2026-11-30T04:39:08Z"}}
	router := debug.Module{Path: routerModule, Version: "v0.1.0"}
	hello := debug.Module{Path: "example.com/hello", Version: "v1.2.3"}
	onRouter := func(replace *debug.Module) []*debug.Module {
		other := &debug.Module{Path: "github.com/gorilla/mux", Version: "v1.8.1"}
		return []*debug.Module{other, {Path: routerModule, Version: "v0.1.0", Replace: replace}}
	}
	for _, test := range []struct {
		name string
		info debug.BuildInfo
		want string
	}{
		{"a release", debug.BuildInfo{Main: router, Settings: commit}, "millrace v0.1.0 (commit abc, of 2026-11-30T04:39:08Z)"},
		{
			"a changed tree", debug.BuildInfo{
				Main:     debug.Module{Path: routerModule, Version: "v0.0.0-20261130043908-abcdef012345+dirty"},
				Settings: append(commit[:2:2], debug.BuildSetting{Key: "vcs.modified", Value: "true"}),
			},
			"millrace v0.0.0-20261130043908-abcdef012345+dirty (commit abc, of 2026-11-30T04:39:08Z, modified)",
		},
		{"no git", debug.BuildInfo{Main: debug.Module{Path: routerModule, Version: "(devel)"}}, "millrace (devel) (commit unknown)"},
		{"another module", debug.BuildInfo{Main: hello, Deps: onRouter(nil), Settings: commit}, program + " v1.2.3 (commit abc, of 2026-11-30T04:39:08Z), on millrace v0.1.0"},
		{"a checkout", debug.BuildInfo{Main: hello, Deps: onRouter(&debug.Module{Path: "../millrace", Version: "(devel)"})}, program + " v1.2.3 (commit unknown), on millrace (devel) in ../millrace"},
		{"a fork", debug.BuildInfo{Main: hello, Deps: onRouter(&debug.Module{Path: "example.com/millrace", Version: "v0.1.1"})}, program + " v1.2.3 (commit unknown), on millrace example.com/millrace v0.1.1"},
	} {
		test.info.GoVersion = "go1.26.8"
		want := test.want + ", go1.26.8 " + runtime.GOOS + "/" + runtime.GOARCH
		if got := versionText(&test.info); got != want {
			t.Errorf("%s:\n%s, want\n%s", test.name, got, want)
		}
	}
}

func TestProgramName(t *testing.T) {
	t.Parallel()
	for want, args := range map[string][]string{
		"hello": {"/usr/local/bin/hello", "--help"}, "shop": {"./shop"}, "tool": {"tool.exe"}, "app": {},
	} {
		if got := programName(args); got != want {
			t.Errorf("%q: %q, want %q", args, got, want)
		}
	}
}
