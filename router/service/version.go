package service

import (
	"fmt"
	"runtime"
	"runtime/debug"
	"strings"
)

// version is what --version prints: the version, the commit, and the Go that
// it was built with. A build outside of git knows no commit.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "millrace, of an unknown version"
	}
	settings := map[string]string{}
	for _, s := range info.Settings {
		settings[s.Key] = s.Value
	}
	var commit []string
	if revision := settings["vcs.revision"]; revision != "" {
		commit = append(commit, "commit "+revision, "of "+settings["vcs.time"])
	} else {
		commit = append(commit, "commit unknown")
	}
	if settings["vcs.modified"] == "true" {
		commit = append(commit, "modified")
	}
	return fmt.Sprintf("millrace %s (%s), %s %s/%s", info.Main.Version, strings.Join(commit, ", "), info.GoVersion, runtime.GOOS, runtime.GOARCH)
}
