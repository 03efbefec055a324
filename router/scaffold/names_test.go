package scaffold

import (
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

func TestNamesOf(t *testing.T) {
	t.Parallel()
	for given, want := range map[string]string{
		"order":          "order orders order Order Orders Order orders orderlist orders",
		"purchase-order": "purchase-order purchase-orders purchaseOrder PurchaseOrder PurchaseOrders PurchaseOrder purchaseorders purchaseorderlist purchase_orders",
		"PurchaseOrder":  "purchase-order purchase-orders purchaseOrder PurchaseOrder PurchaseOrders PurchaseOrder purchaseorders purchaseorderlist purchase_orders",
		"purchase_order": "purchase-order purchase-orders purchaseOrder PurchaseOrder PurchaseOrders PurchaseOrder purchaseorders purchaseorderlist purchase_orders",
		"APIKey":         "api-key api-keys apiKey APIKey APIKeys ApiKey apikeys apikeylist api_keys",
		"person":         "person people person Person People Person people personlist people",
		"go":             "go gos go Go Gos Go gos golist gos",
		"type":           "type types type Type Types Type types typelist types",
		"line2":          "line2 line2s line2 Line2 Line2s Line2 line2s line2list line2s",
	} {
		n, err := NamesOf(given, "")
		got := strings.Join([]string{n.Name, n.Plural, n.Camel, n.Type, n.Types, n.Component, n.Package, n.List, n.Table}, " ")
		if err != nil || got != want {
			t.Errorf("%s: %s, %v, want %s", given, got, err, want)
		}
	}
	n, err := NamesOf("news", "news")
	if err != nil || n.Plural != "news" || n.Package != "news" || n.Prose != "a news" {
		t.Errorf("%+v, %v", n, err)
	}
}

// Names that can't work are refused with what to do.
func TestNamesRefused(t *testing.T) {
	t.Parallel()
	for given, want := range map[string]string{
		"/":                           `the aggregate's name "" has no letter`,
		"bücher/":                     `has the character 'ü': use letters from a to z, digits and hyphens, such as order`,
		"a.b/":                        `has the character '.'`,
		"--/":                         `has no letter`,
		"2nd/":                        `begins with a digit`,
		"text/":                       `the aggregate can't be called "text"`,
		"problem/":                    `the aggregate can't be called "problem"`,
		"order/-":                     `the plural "-" has no letter`,
		"order/type":                  `the plural can't be "type": Go uses the word type; give another --plural`,
		"order/error":                 `the plural can't be "error": Go uses the word error`,
		"order/main":                  `the plural can't be "main": Millrace uses the name main already`,
		"order/changes":               `the plural "changes" is the router's own`,
		"order/history":               `the plural can't be "history"`,
		"reaction/":                   `the name "reaction" is the router's own`,
		strings.Repeat("a", 41) + "/": `has 41 characters: use at most 40`,
	} {
		name, plural, _ := strings.Cut(given, "/")
		if _, err := NamesOf(name, plural); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", given, err, want)
		}
	}
}

// The names of shared components of the OpenAPI document are taken.
func TestTakenComponents(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../documents/openapi.yaml")
	if err != nil {
		t.Fatal(err)
	}
	_, schemas, ok := strings.Cut(string(text), "\n  schemas:\n")
	if !ok {
		t.Fatal("there are no schemas")
	}
	var found []string
	for _, match := range regexp.MustCompile(`(?m)^ {4}([A-Za-z]+):`).FindAllStringSubmatch(schemas, -1) {
		found = append(found, match[1])
	}
	slices.Sort(found)
	if !slices.Equal(found, takenComponents) {
		t.Errorf("the document has %v, and takenComponents %v", found, takenComponents)
	}
}

func TestGrammar(t *testing.T) {
	t.Parallel()
	for noun, plural := range map[string]string{
		"order": "orders", "box": "boxes", "city": "cities", "day": "days", "batch": "batches", "bus": "buses", "person": "people", "child": "children",
	} {
		if got := pluralOf(noun); got != plural {
			t.Errorf("%s: %s, want %s", noun, got, plural)
		}
	}
	for verb, past := range map[string]string{
		"create": "created", "ship": "shipped", "add": "added", "pay": "paid", "copy": "copied", "play": "played", "fix": "fixed", "open": "opened",
		"cancel": "cancelled", "send": "sent", "stop": "stopped", "archive": "archived", "view": "viewed", "close": "closed", "x": "xed", "show": "shown",
	} {
		if got := pastOf(verb); got != past {
			t.Errorf("%s: %s, want %s", verb, got, past)
		}
	}
	for noun, with := range map[string]string{"order": "an order", "box": "a box", "user": "a user", "unit": "a unit", "item": "an item"} {
		if got := withArticle(noun); got != with {
			t.Errorf("%s: %s, want %s", noun, got, with)
		}
	}
}

// A file such as create_linux.go or run_test.go would be no code on other
// systems, or no code but a test.
func TestFileName(t *testing.T) {
	t.Parallel()
	for words, want := range map[string]string{
		"create order": "create_order", "create linux": "createlinux", "run test": "runtest", "move linux amd64": "movelinuxamd64", "create purchase order": "create_purchase_order",
	} {
		if got := fileName(strings.Fields(words)); got != want {
			t.Errorf("%s: %s, want %s", words, got, want)
		}
	}
}

// A new service has the versions that Millrace has.
func TestVersions(t *testing.T) {
	t.Parallel()
	for template, from := range map[string]map[string]string{
		"Dockerfile":   {"../../Dockerfile": `(?m)^FROM (\S+)`},
		"go.mod":       {"../../go.mod": `(?m)^go (\S+)$`},
		"compose.yaml": {"../../docker-compose.yml": `image: ((?:apache/kafka|postgres):\S+)`},
	} {
		made, err := render(template, newService{Module: "example.com/shop"})
		if err != nil {
			t.Fatal(err)
		}
		for file, form := range from {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			versions := regexp.MustCompile(form)
			if got, want := fmt.Sprint(versions.FindAllString(made, -1)), fmt.Sprint(versions.FindAllString(string(text), -1)); got != want || len(got) < 5 {
				t.Errorf("the template %s has %s, %s has %s", template, got, file, want)
			}
		}
	}
}
