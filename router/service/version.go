package service

import (
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strings"
)

// program is the name of this program on the command line, such as "app". Help
// texts, hints and errors use the name.
var program = programName(os.Args)

func programName(args []string) string {
	if len(args) == 0 || args[0] == "" {
		return "app"
	}
	return strings.TrimSuffix(filepath.Base(args[0]), ".exe")
}

// routerModule is the path of the module with the router.
const routerModule = "github.com/millrace/millrace"

// version is the output of --version.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return program + ", of an unknown version"
	}
	return versionText(info)
}

// versionText says the version and the commit of the program, and the version of
// Go. A service of another module says the version of Millrace too. A build
// outside of git knows no commit.
func versionText(info *debug.BuildInfo) string {
	text := fmt.Sprintf("%s %s (%s)", program, cmp.Or(info.Main.Version, "(devel)"), commitText(info.Settings))
	if info.Main.Path == routerModule {
		text = "millrace" + strings.TrimPrefix(text, program)
	}
	for _, dependency := range info.Deps {
		if dependency.Path == routerModule {
			text += ", on millrace " + dependencyText(dependency)
		}
	}
	return fmt.Sprintf("%s, %s %s/%s", text, info.GoVersion, runtime.GOOS, runtime.GOARCH)
}

// commitText says the commit of a build, from the settings of the build.
func commitText(settings []debug.BuildSetting) string {
	of := map[string]string{}
	for _, s := range settings {
		of[s.Key] = s.Value
	}
	text := "commit unknown"
	if revision := of["vcs.revision"]; revision != "" {
		text = "commit " + revision + ", of " + of["vcs.time"]
	}
	if of["vcs.modified"] == "true" {
		text += ", modified"
	}
	return text
}

// dependencyText says the version of a dependency. If go.mod replaces the
// dependency by a folder, the text has the path of the folder.
func dependencyText(m *debug.Module) string {
	switch {
	case m.Replace == nil:
		return m.Version
	case m.Replace.Version == "" || m.Replace.Version == "(devel)":
		return "(devel) in " + m.Replace.Path
	default:
		return m.Replace.Path + " " + m.Replace.Version
	}
}
