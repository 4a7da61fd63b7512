{{/*
The mesh that the values describe, as JSON:
  name        what the names of all objects begin with
  bundled     of database, store and broker, whether a trial part stands for it
  lake        "url", "claim" or "create"; "" if nothing says where tables are kept
  keep        whether the claim that is made for them stays after an uninstall
  components  by name those that run: facts (files/components.yaml) and values (defaults, then its own),
              and as `object` the name of its objects
  addresses   by component host:port of what it is asked at
*/}}
{{- define "skewless.mesh" -}}
{{- $values := .Values -}}
{{- $name := include "skewless.fullname" . -}}
{{- $bundled := dict
      "database" (and $values.trial (empty $values.database.url.secretName))
      "store" (and $values.trial (empty $values.store.url.secretName))
      "broker" (and $values.trial (empty $values.broker.address)) -}}
{{- $lake := "" -}}
{{- if $values.lake.url }}{{ $lake = "url" }}
{{- else if $values.lake.volume.existingClaim }}{{ $lake = "claim" }}
{{- else if or $values.lake.volume.create $values.trial }}{{ $lake = "create" }}
{{- end -}}
{{- $keep := $values.lake.volume.keep -}}
{{- if kindIs "invalid" $keep }}{{ $keep = not $bundled.broker }}{{ end -}}
{{- $components := dict -}}
{{- $addresses := dict -}}
{{- range $component, $facts := .Files.Get "files/components.yaml" | fromYaml -}}
{{- $own := mergeOverwrite (deepCopy $values.defaults) (deepCopy (index $values.components $component)) -}}
{{- $runs := $own.enabled -}}
{{- if $facts.standsFor }}{{ $runs = index $bundled $facts.standsFor }}{{ end -}}
{{- if $runs -}}
{{- $object := printf "%s-%s" $name $component -}}
{{- range $port, $number := $facts.ports -}}
{{- if ne $port "metrics" }}{{ $_ := set $addresses $component (printf "%s:%v" $object $number) }}{{ end -}}
{{- end -}}
{{- $_ := set $components $component (merge (dict "object" $object) $facts $own) -}}
{{- end -}}
{{- end -}}
{{- dict "name" $name "bundled" $bundled "lake" $lake "keep" (and $keep (eq $lake "create")) "components" $components "addresses" $addresses | toJson -}}
{{- end -}}

{{/* Seconds that a component may take to end once it takes no more calls, rounded up. Takes the component of the mesh and root. */}}
{{- define "skewless.graceSeconds" -}}
{{- $grace := 5 -}}
{{- with .component.graceSetting -}}
{{- if hasKey $.component.settings . -}}
{{- $grace = divf (index $.component.settings .) $.component.perSecond | ceil -}}
{{- end -}}
{{- end -}}
{{- add $grace (.component.lastSeconds | default 0) -}}
{{- end -}}

{{/* How often a component runs at least. */}}
{{- define "skewless.leastReplicas" -}}
{{- if and .autoscaling .autoscaling.enabled }}{{ .autoscaling.minReplicas }}{{ else }}{{ .replicas }}{{ end -}}
{{- end -}}
