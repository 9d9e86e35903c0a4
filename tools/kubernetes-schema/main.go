// Prints the configuration types and feature gates of the Kubernetes version that the current module pins, as JSON.
// `make schemas` runs it in each components/kubernetes-* and writes kubeinstall/cluster/schemas.
//
// A type is the name of a scalar, [TYPE] for a list, {"*": TYPE} for a map, or {field: TYPE}. A feature gate has the
// value that it is locked to, or null.
package main

import (
	"encoding"
	"encoding/json"
	"fmt"
	"os"
	"reflect"
	"strings"

	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	utilfeature "k8s.io/apiserver/pkg/util/feature"
	logs "k8s.io/component-base/logs/api/v1"
	metrics "k8s.io/component-base/metrics/features"
	controllers "k8s.io/controller-manager/pkg/features"
	kubeproxy "k8s.io/kube-proxy/config/v1alpha1"
	kubelet "k8s.io/kubelet/config/v1beta1"
	_ "k8s.io/kubernetes/pkg/features"
)

type configuration struct {
	APIVersion string `json:"apiVersion"`
	Kind       string `json:"kind"`
	Fields     any    `json:"fields"`
}

// Types that read their JSON themselves.
var scalars = map[reflect.Type]string{
	reflect.TypeFor[metav1.Duration]():         "duration",
	reflect.TypeFor[logs.TimeOrMetaDuration](): "duration or nanoseconds",
	reflect.TypeFor[resource.Quantity]():       "quantity",
	reflect.TypeFor[resource.QuantityValue]():  "quantity",
	reflect.TypeFor[metav1.Time]():             "string",
}

var (
	unmarshaler     = reflect.TypeFor[json.Unmarshaler]()
	textUnmarshaler = reflect.TypeFor[encoding.TextUnmarshaler]()
)

func main() {
	// What the programs add at their start.
	must(logs.AddFeatureGates(utilfeature.DefaultMutableFeatureGate))
	must(metrics.AddFeatureGates(utilfeature.DefaultMutableFeatureGate))
	must(controllers.SetupCurrentKubernetesSpecificFeatureGates(utilfeature.DefaultMutableFeatureGate))
	gates := map[string]*bool{}
	for name, spec := range utilfeature.DefaultMutableFeatureGate.GetAll() {
		gates[string(name)] = nil
		if spec.LockToDefault {
			gates[string(name)] = &spec.Default
		}
	}
	out := json.NewEncoder(os.Stdout)
	out.SetIndent("", " ")
	must(out.Encode(map[string]any{
		"kubelet":    describe(kubelet.SchemeGroupVersion.String(), reflect.TypeFor[kubelet.KubeletConfiguration]()),
		"kube-proxy": describe(kubeproxy.SchemeGroupVersion.String(), reflect.TypeFor[kubeproxy.KubeProxyConfiguration]()),
		"gates":      gates,
	}))
}

func describe(apiVersion string, of reflect.Type) configuration {
	return configuration{apiVersion, of.Name(), typeOf(of)}
}

func typeOf(of reflect.Type) any {
	if name, ok := scalars[of]; ok {
		return name
	}
	if pointer := reflect.PointerTo(of); pointer.Implements(unmarshaler) || pointer.Implements(textUnmarshaler) {
		must(fmt.Errorf("%s reads its own JSON: add it to scalars", of))
	}
	switch of.Kind() {
	case reflect.Pointer:
		return typeOf(of.Elem())
	case reflect.Slice, reflect.Array:
		return []any{typeOf(of.Elem())}
	case reflect.Map:
		return map[string]any{"*": typeOf(of.Elem())}
	case reflect.Struct:
		fields := map[string]any{}
		add(of, fields)
		return fields
	case reflect.Bool, reflect.String, reflect.Float32, reflect.Float64,
		reflect.Int, reflect.Int32, reflect.Int64, reflect.Uint, reflect.Uint32, reflect.Uint64:
		return of.Kind().String()
	}
	must(fmt.Errorf("%s has no form in JSON", of))
	return nil
}

func add(of reflect.Type, fields map[string]any) {
	for i := range of.NumField() {
		field := of.Field(i)
		name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
		switch {
		case name == "-" || !field.IsExported():
		case field.Anonymous && name == "":
			add(field.Type, fields)
		case name == "":
			// encoding/json merges nothing here and takes the field by its Go name.
			must(fmt.Errorf("%s.%s has no name in JSON", of, field.Name))
		default:
			fields[name] = typeOf(field.Type)
		}
	}
}

func must(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
