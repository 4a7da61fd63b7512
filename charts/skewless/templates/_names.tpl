{{/* The name that all objects of the release begin with: the release's, with the chart's unless it has it already. */}}
{{- define "skewless.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride -}}
{{- else if contains .Chart.Name .Release.Name -}}
{{- .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name .Chart.Name | trunc 40 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{/* What selects the pods of a component. Never changes in an upgrade. Takes (dict "root" $ "component" NAME). */}}
{{- define "skewless.selector" -}}
app.kubernetes.io/name: {{ .root.Chart.Name }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- end -}}

{{/* The labels of an object. Takes (dict "root" $ "component" NAME). */}}
{{- define "skewless.labels" -}}
{{ include "skewless.selector" . }}
app.kubernetes.io/part-of: {{ .root.Chart.Name }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_" }}
{{- with .root.Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* The image of a component. Takes (dict "root" $ "component" NAME "image" its image values). */}}
{{- define "skewless.image" -}}
{{- $common := .root.Values.image -}}
{{- $repository := .image.repository | default (printf "%s/%s" $common.repository .component) -}}
{{- if .image.digest -}}
{{- printf "%s@%s" $repository .image.digest -}}
{{- else -}}
{{- printf "%s:%s" $repository (.image.tag | default $common.tag | default .root.Chart.AppVersion) -}}
{{- end -}}
{{- end -}}
