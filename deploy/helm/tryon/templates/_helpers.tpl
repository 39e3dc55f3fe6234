{{- define "tryon.name" -}}
{{ .Release.Name | trunc 36 | trimSuffix "-" }}
{{- end }}

{{/* What its pods are told by. Takes (list $ component). */}}
{{- define "tryon.selector" -}}
app.kubernetes.io/name: tryon
app.kubernetes.io/instance: {{ (index . 0).Release.Name }}
app.kubernetes.io/component: {{ index . 1 }}
{{- end }}

{{- define "tryon.labels" -}}
{{- $root := index . 0 -}}
{{ include "tryon.selector" . }}
app.kubernetes.io/version: {{ $root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ $root.Release.Service }}
helm.sh/chart: {{ $root.Chart.Name }}-{{ $root.Chart.Version }}
{{- end }}

{{- define "tryon.image" -}}
image: {{ printf "%s:%s" .Values.image.repository (.Values.image.tag | default .Chart.AppVersion) | quote }}
imagePullPolicy: {{ .Values.image.pullPolicy }}
{{- end }}

{{/* What is alike of all pods. */}}
{{- define "tryon.pod" -}}
serviceAccountName: {{ include "tryon.name" . }}
automountServiceAccountToken: false
# Links to a Service `tryon` would be read as configuration: TRYON_PORT.
enableServiceLinks: false
{{- with .Values.image.pullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
securityContext:
  runAsNonRoot: true
  runAsUser: 10001
  runAsGroup: 10001
  fsGroup: 10001
  fsGroupChangePolicy: OnRootMismatch
  seccompProfile: {type: RuntimeDefault}
{{- end }}

{{- define "tryon.container" -}}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities: {drop: [ALL]}
{{- end }}

{{/* Where nodes and Prometheus reach gateways. */}}
{{- define "tryon.internal" -}}
http://{{ include "tryon.name" . }}-internal:8081
{{- end }}

{{/* A pool with the defaults in it. Takes (list $ pool). */}}
{{- define "tryon.pool" -}}
{{ mergeOverwrite (deepCopy (index . 0).Values.nodeDefaults) (index . 1 | default dict) | toYaml }}
{{- end }}

{{- define "tryon.gateway.config" -}}
{{- $base := dict
  "server" (dict "host" "0.0.0.0" "internal_host" "0.0.0.0" "public_url" .Values.publicUrl)
  "storage" (dict "url" .Values.storageUrl) -}}
{{ mergeOverwrite $base (deepCopy .Values.gateway.config) | toYaml }}
{{- end }}

{{/* Takes (list $ pool), the pool with the defaults in it. */}}
{{- define "tryon.node.config" -}}
{{- $internal := include "tryon.internal" (index . 0) -}}
{{- $base := dict
  "server" (dict "host" "0.0.0.0")
  "asset_service" (dict "callback_url" (printf "%s/internal/v1/results" $internal))
  "load_balancer" (dict "url" $internal)
  "registration" (dict "gateways" (list $internal))
  "model" (dict "model_type" (index . 1).modelType "dir" "/models")
  "spool" (dict "dir" "/var/lib/tryon/spool")
  "limits" (dict "shutdown_grace" 30) -}}
{{ mergeOverwrite $base (deepCopy (index . 1).config) | toYaml }}
{{- end }}
